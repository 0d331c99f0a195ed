"""CSV files of contacts on their way into lists.

`intake` stores a file, `loading` loads it in batches, and `upload_states` restarts what a crash has interrupted. They
read the file through `stored_file` (its pieces in the database), `lines`, `header` and `rows`.
"""
