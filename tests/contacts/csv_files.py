"""Files of contacts, read as an upload reads them, without the database."""

import io

from contacts.csv_uploads.columns import ColumnChoice, Layout, layout_of
from contacts.csv_uploads.header import read_header
from contacts.csv_uploads.lines import Lines
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records
from contacts.csv_uploads.source import Received

NUMBER = "+919810012345"
STATIC = ColumnChoice(is_dynamic=False)
DYNAMIC = ColumnChoice(is_dynamic=True)


def layout(content: str | bytes, choice: ColumnChoice = STATIC, region: str = "IN") -> Layout:
    return layout_of(Received(io.BytesIO(_raw(content)), region).header(), choice)


def rows(content: str | bytes, choice: ColumnChoice = STATIC, region: str = "IN") -> list[Row | Rejected]:
    """Return the rows of a text file."""
    rest = lines(content, region)
    found = layout(content, choice, region)
    return [parse_record(record, found, region) for record in read_records(rest, found)]


def lines(content: str | bytes, region: str = "IN") -> Lines:
    """Return the lines of a text file after its header."""
    read = Lines(Received(io.BytesIO(_raw(content)), region).content())
    read_header(read)
    return read


def one(content: str | bytes, choice: ColumnChoice = STATIC, region: str = "IN") -> Row | Rejected:
    (row,) = rows(content, choice, region)
    return row


def _raw(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
