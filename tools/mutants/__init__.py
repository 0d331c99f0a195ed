"""Break the code on purpose, one line at a time, and require that a test or a row of `make chaos` sees it.

A guarantee that no test can see broken is a hope. The catalogue has the mutants: what each breaks, and what must catch
it. docs/developer/testing.md says how to add one.
"""
