"""Files of contacts, text or workbooks, on their way into lists.

`intake` checks and stores a file, `loading` loads it in batches, and `upload_states` restarts what a crash has
interrupted. A file passes through these modules:

- `file_formats` and `text_encoding` find out what the bytes are; `source` opens them
- `workbook` and `sheet` turn an .xlsx into lines
- `lines` reads lines, `header` the first of them, `records` those after it, `rows` judges each
- `spoken_values` judges what campaigns would read aloud
- `column_names` and `columns` decide what each column is
- `stored_file` keeps the file in the database, in pieces, until it has been loaded
"""
