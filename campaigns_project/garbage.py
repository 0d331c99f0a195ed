"""Search for reference cycles every 50,000 objects instead of every 700.

A start makes hundreds of thousands of objects that stay, and a batch thousands without a cycle: the search took a tenth
of both. Imported first of all, before what makes them.
"""

import gc

# Python's own.
OFTEN = (700, 10, 10)

gc.set_threshold(50_000, 20, 100)


def leave_out_what_is_loaded() -> None:
    """Search once, and never again among what a start has loaded, whose memory processes of a pool then share."""
    gc.collect()
    gc.freeze()


def search_as_often_as_python_does() -> None:
    """Go back to short searches, for a process whose work is waited for: rare ones find more at once."""
    gc.set_threshold(*OFTEN)
