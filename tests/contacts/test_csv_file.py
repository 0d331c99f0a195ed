"""CSV files of contacts are read as people save them, or refused with the line."""

import io
import re

import pytest

from contacts.csv_uploads.header import read_layout
from contacts.csv_uploads.lines import FileRefused
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records

NUMBER = "+919810012345"


def rows(content: str | bytes, *, dynamic: bool = False) -> list[Row | Rejected]:
    raw = content.encode() if isinstance(content, str) else content
    layout, lines = read_layout(io.BytesIO(raw), dynamic=dynamic)
    return [parse_record(record, layout, "IN") for record in read_records(lines, layout)]


def one(content: str | bytes, *, dynamic: bool = False) -> Row | Rejected:
    (row,) = rows(content, dynamic=dynamic)
    return row


@pytest.mark.parametrize(
    "content",
    [
        "number,first_name\n+919810012345,Asha\n",
        "number,first_name\n+919810012345,Asha",
        "\ufeffnumber,first_name\n+919810012345,Asha\n",
        "number,first_name\r\n+919810012345,Asha\r\n",
        "number;first_name\n+919810012345;Asha\n",
        "number\tfirst_name\n+919810012345\tAsha\n",
        'number,first_name\n"+919810012345","Asha"\n',
        "first_name,number\nAsha,098100 12345\n",
        "Number,First Name\n +91 98100 12345 , Asha \n",
        "number,first_name,\n+919810012345,Asha,\n",
        "number,first_name\n\n+919810012345,Asha\n\n,\n",
        "number,first_name\n'+919810012345,Asha\n",
    ],
)
def test_a_row_is_read_however_the_file_was_saved(content):
    row = one(content)
    assert isinstance(row, Row)
    assert (row.number, row.values["first_name"]) == (NUMBER, "Asha")


@pytest.mark.parametrize(
    ("cell", "value"),
    [('"Rao, Asha"', "Rao, Asha"), ('"Asha\nRao"', "Asha\nRao"), ('"Asha ""A"" Rao"', 'Asha "A" Rao'), ('A"B', 'A"B')],
)
def test_quotes_keep_a_cell_together(cell, value):
    row = one(f"number,first_name\n{NUMBER},{cell}\n")
    assert isinstance(row, Row)
    assert row.values["first_name"] == value


def test_rows_know_the_line_where_they_begin():
    found = rows(f'number,first_name\n{NUMBER},"two\nlines"\n\n{NUMBER},x\n')
    assert [row.line for row in found] == [2, 5]


def test_cells_that_are_missing_are_empty():
    assert one(f"number,first_name,tag\n{NUMBER}\n") == Row(2, NUMBER, {"first_name": "", "tag": ""})


def test_columns_of_ones_own_keep_their_spelling_in_a_dynamic_list():
    row = one(f"number,Due Date,fee\n{NUMBER},1 May,100\n", dynamic=True)
    assert row == Row(2, NUMBER, {"Due Date": "1 May", "fee": "100"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "there is no header"),
        ("\n", "there is no header"),
        (f"{NUMBER},Asha\n", "no column is named number"),
        ("name,phone\n", "no column is named number"),
        ("number,number\n", "stands twice"),
        ("number,First Name,first_name\n", "stands twice"),
        ("number,city\n", "city is no column of a static list"),
        ('number,"first_name\n', "quote"),
        (f"number\r{NUMBER}\r", "CR alone"),
        ("number\0\n", "NUL"),
        (b"number,pr\xe9nom\n", "not UTF-8"),
        (f"number\n{NUMBER}\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04" + b"\0" * 100, "spreadsheet"),
        ("number," + "x" * 70_000, "longer than"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused_with_its_line(content, says):
    with pytest.raises(FileRefused, match=f"^line 1: .*{says}"):
        rows(content)


def test_six_columns_of_ones_own_are_too_many():
    assert rows("number,first_name,a,b,c,d,e\n", dynamic=True) == []
    with pytest.raises(FileRefused, match="line 1: 6 columns"):
        rows("number,a,b,c,d,e,f\n", dynamic=True)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("+9112,Asha", r"not a valid number: \+9112"),
        (",Asha", "the number is missing"),
        ("9" * 40 + ",Asha", "not a valid number"),
        ("9.19E+11,Asha", "not a valid number"),
        ("=1+1,Asha", "not a valid number: =1.1"),
        (f"{NUMBER},Asha,Rao", "3 cells, the header 2"),
        (f"{NUMBER},Rao, Asha", "3 cells, the header 2"),
        (f"{NUMBER}," + "a" * 256, "first_name is longer than 255"),
        (f"{NUMBER},A\0sha", "NUL"),
        (f'{NUMBER},"Asha" Rao', "a quote closes"),
    ],
)
def test_a_row_that_can_not_be_loaded_is_rejected_with_its_line_and_the_next_is_read(row, reason):
    rejected, loaded = rows(f"number,first_name\n{row}\n{NUMBER},Asha\n")
    assert isinstance(rejected, Rejected)
    assert rejected.line == 2
    assert re.search(reason, rejected.reason), rejected.reason
    assert loaded == Row(3, NUMBER, {"first_name": "Asha"})


def test_a_row_in_another_encoding_is_rejected_and_shown_as_far_as_it_can_be_read():
    rejected = one(b"number,first_name\n+919810012345,Andr\xe9\n")
    assert rejected == Rejected(2, "the text is not UTF-8", [NUMBER, "Andr?"])


def test_a_quote_that_is_never_closed_is_refused_with_its_line():
    with pytest.raises(FileRefused, match="line 3: a quote opens in this row and is not closed"):
        rows(f'number,first_name\n{NUMBER},Asha\n{NUMBER},"Asha\n{NUMBER},Mina\n')


def test_a_quote_that_runs_on_for_too_long_is_refused_with_its_line():
    with pytest.raises(FileRefused, match="line 2: a quote"):
        rows(f'number,first_name\n{NUMBER},"' + "x\n" * 100_000)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory():
    with pytest.raises(FileRefused, match="line 2: is longer than 65,536 bytes"):
        rows("number\n" + "9" * 70_000)
