"""What a file is by its first bytes: text, a workbook, or something that is refused with what to do about it."""

import codecs
from typing import IO

from contacts.csv_uploads.lines import FileRefused

_ZIP = b"PK\x03\x04"
_SAVE = "save the sheet as .xlsx or as CSV UTF-8"

# The first bytes of common files that can't be read, and what each is.
_REFUSED = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an .xls of old Excel, or a workbook with a password: {_SAVE}"),
    (b"PK\x05\x06", f"an empty archive: {_SAVE}"),
    (b"%PDF", f"a PDF: {_SAVE}"),
    (b"{\\rtf", f"a text document: {_SAVE}"),
    (b"\x1f\x8b", "a compressed archive: unpack it, and send the file in it"),
    (b"7z\xbc\xaf\x27\x1c", "a compressed archive: unpack it, and send the file in it"),
    (b"Rar!", "a compressed archive: unpack it, and send the file in it"),
    (b"BZh", "a compressed archive: unpack it, and send the file in it"),
    (b"\xfd7zXZ", "a compressed archive: unpack it, and send the file in it"),
    (b"\x89PNG", f"a picture: {_SAVE}"),
    (b"\xff\xd8\xff", f"a picture: {_SAVE}"),
    (b"GIF8", f"a picture: {_SAVE}"),
)
_REFUSED_TEXTS = (
    ("begin:vcard", "a vCard: export the contacts as CSV"),
    ("<!doctype", f"a web page, whatever its name says: open it in a spreadsheet and {_SAVE}"),
    ("<html", f"a web page, whatever its name says: open it in a spreadsheet and {_SAVE}"),
    ("<table", f"a web page, whatever its name says: open it in a spreadsheet and {_SAVE}"),
    ("<?xml", f"XML: open it in a spreadsheet and {_SAVE}"),
    ("{", "JSON: send a CSV file, or the contacts to /contacts"),
    ("[{", "JSON: send a CSV file, or the contacts to /contacts"),
    ("mime-version:", f"a web page, whatever its name says: open it in a spreadsheet and {_SAVE}"),
)


def is_workbook(file: IO[bytes]) -> bool:
    """Tell whether the file is an archive, as an .xlsx is, or text.

    Raises:
        FileRefused: it is something else that is known.
    """
    file.seek(0)
    start = file.read(512)
    for first_bytes, what in _REFUSED:
        if start.startswith(first_bytes):
            raise FileRefused(f"the file is {what}")
    text = start.removeprefix(codecs.BOM_UTF8).decode("latin-1").lstrip().lower()
    for beginning, what in _REFUSED_TEXTS:
        if text.startswith(beginning):
            raise FileRefused(f"the file is {what}")
    return start.startswith(_ZIP)
