"""The header of a CSV file of contacts: its delimiter, and the column that each cell of a row belongs to."""

import codecs
import csv
from dataclasses import dataclass
from functools import cached_property
from typing import IO

from contacts.address_book import TEXT_COLUMNS
from contacts.csv_uploads.lines import FileRefused, Lines, why_not_storable

DELIMITERS = (",", ";", "\t")
# Exotel's limit for the columns of a dynamic list beside the known ones.
MAX_VARIABLES = 5
MAX_CELL = 255  # characters: what a contact's columns hold

# The first bytes of common files that are not CSV, and what to do about each.
_NOT_CSV = (
    (codecs.BOM_UTF16_LE, "the file is UTF-16: save it as CSV UTF-8"),
    (codecs.BOM_UTF16_BE, "the file is UTF-16: save it as CSV UTF-8"),
    (b"PK\x03\x04", "the file is a spreadsheet or an archive: save the sheet as CSV UTF-8"),
)


@dataclass(frozen=True)
class Layout:
    """The meaning of the cells.

    columns: a name for each cell of a row, `number` among them; a cell whose name is "" is skipped.
    """

    delimiter: str
    columns: tuple[str, ...]

    @property
    def variables(self) -> list[str]:
        """The columns whose values a text can name: all but the number."""
        return [name for name in self.columns if name not in {"", "number"}]

    @cached_property
    def blank(self) -> dict[str, str]:
        """A row of empty cells, by column."""
        return dict.fromkeys(self.columns, "")


def read_layout(file: IO[bytes], *, dynamic: bool) -> tuple[Layout, Lines]:
    """Read the header. Returns the layout, and the lines that follow.

    Args:
        file: at its beginning.
        dynamic: whether it is for a dynamic list, which may have columns of its own.

    Raises:
        FileRefused: the file is not a list of contacts. The message names line 1.
    """
    lines = Lines(file)
    header = next(iter(lines), "")
    start = header.encode(errors="surrogateescape")
    for first_bytes, hint in _NOT_CSV:
        if start.startswith(first_bytes):
            raise FileRefused(f"line 1: {hint}")
    if not header.strip():
        raise FileRefused("line 1: there is no header; the first line names the columns, number among them")
    if problem := why_not_storable([header]):
        raise FileRefused(f"line 1: {problem}; save the file as CSV UTF-8")
    if "\r" in header.rstrip("\r\n"):
        raise FileRefused("line 1: lines must end in LF or CR LF, not in CR alone: save the file again")
    return _layout(header, dynamic=dynamic), lines


def _layout(header: str, *, dynamic: bool) -> Layout:
    delimiter = max(DELIMITERS, key=header.count)
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise FileRefused("line 1: a quote in the header is not closed, or something follows it") from error
    columns = tuple(_known(name) or name for name in names)
    if "number" not in columns:
        raise FileRefused(
            "line 1: no column is named number; the first line must be a header such as number,first_name, not a row"
        )
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise FileRefused(f"line 1: the column {twice[0][:64]} stands twice")
    own = [name for name in columns if name and name != "number" and name not in TEXT_COLUMNS]
    if own and not dynamic:
        raise FileRefused(
            f"line 1: {own[0][:64]} is no column of a static list, which has number, {', '.join(TEXT_COLUMNS)};"
            " upload the file with type=dynamic, or without the column"
        )
    if len(own) > MAX_VARIABLES:
        raise FileRefused(f"line 1: {len(own)} columns of your own are more than {MAX_VARIABLES}")
    if long := [name for name in own if len(name) > MAX_CELL]:
        raise FileRefused(f"line 1: the column {long[0][:64]}… has a name of more than {MAX_CELL} characters")
    return Layout(delimiter, columns)


def _known(name: str) -> str:
    """Return our name of the column, `first_name` for `First Name`; "" for a column of the client's own."""
    ours = name.casefold().replace(" ", "_").replace("-", "_")
    return ours if ours == "number" or ours in TEXT_COLUMNS else ""
