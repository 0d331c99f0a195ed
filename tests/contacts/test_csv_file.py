"""CSV files of contacts are read as people save them, or refused with the line."""

import re

import pytest

from contacts.csv_uploads.lines import FileRefused
from contacts.csv_uploads.rows import Rejected, Row
from tests.contacts.csv_files import DYNAMIC, NUMBER, one, rows


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
        "number|first_name\n+919810012345|Asha\n",
        'number, first_name\n"+919810012345", "Asha"\n',
        "\n,,\nnumber,first_name\n+919810012345,Asha\n",
        "sep=;\nnumber;first_name\n+919810012345;Asha\n",
        "SEP=\t\r\nnumber\tfirst_name\r\n+919810012345\tAsha\r\n",
        '\ufeff"sep=,"\nnumber,first_name\n+919810012345,Asha\n',
        'number;"first_name"\n+919810012345;"Asha"\n',
        '"first_name";"number"\n"Asha";"=""+919810012345"""\n',
    ],
)
def test_a_row_is_read_however_the_file_was_saved(content):
    row = one(content)
    assert isinstance(row, Row)
    assert (row.number, row.values["first_name"]) == (NUMBER, "Asha")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"Rao, Asha"', "Rao, Asha"),
        ('"Asha\nRao"', "Asha\nRao"),
        ('"Asha ""A"" Rao"', 'Asha "A" Rao'),
        ("Asha'A", "Asha'A"),
    ],
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
    row = one(f"number,Due Date,fee\n{NUMBER},1 May,100\n", DYNAMIC)
    assert row == Row(2, NUMBER, {"Due Date": "1 May", "fee": "100"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "there is no header"),
        ("\n", "there is no header"),
        (f"{NUMBER},Asha\n", "no column is named number"),
        ("name,city\n", "no column is named number"),
        ("number,number\n", "stands twice"),
        ("number,First Name,first_name\n", "stands twice"),
        ("number,city\n", "city is no column of a static list"),
        ('number,"first_name\n', "quote"),
        ("number\0\n", "NUL"),
        (b"number,pr\x8enom\n", "not UTF-8"),
        ("number," + "x" * 70_000, "longer than"),
        ("sep=x\nnumberxtag\n", "sep=x names no delimiter"),
        ("number" + "," * 1000, "more than 1,000 columns"),
        ("\n" * 200 + "number\n", "there is no header"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused_with_its_line(content, says):
    with pytest.raises(FileRefused, match=f"^line 1: .*{says}"):
        rows(content)


def test_a_header_further_down_is_named_with_its_line():
    with pytest.raises(FileRefused, match=r"^line 3: city is no column"):
        rows("sep=;\n\nnumber;city\n")


def test_lines_are_counted_from_the_beginning_of_the_file():
    assert [row.line for row in rows(f"sep=;\nnumber;tag\n{NUMBER};a\n\n{NUMBER};b\n")] == [3, 5]


def test_a_header_cell_may_span_lines():
    row = one(f'"Mobile\nNumber","First\nName"\n{NUMBER},Asha\n')
    assert row == Row(4, NUMBER, {"first_name": "Asha"})


def test_32_001_columns_are_refused_at_once():
    with pytest.raises(FileRefused, match="line 1: the header has more than 1,000 columns"):
        rows("number," + "a," * 32_000 + "\n")


def test_six_columns_of_ones_own_are_too_many():
    assert rows("number,first_name,a,b,c,d,e\n", DYNAMIC) == []
    with pytest.raises(FileRefused, match="line 1: 6 columns"):
        rows("number,a,b,c,d,e,f\n", DYNAMIC)


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
        (f'{NUMBER},"Asha" Rao', "a quote stands inside a cell"),
        (f'{NUMBER},Asha"', "a quote stands inside a cell"),
        (f'{NUMBER},A"s"ha', "a quote stands inside a cell"),
        (f"{NUMBER}," + "x" * 70_000, "the line is longer than 65,536 bytes"),
    ],
)
def test_a_row_that_can_not_be_loaded_is_rejected_with_its_line_and_the_next_is_read(row, reason):
    rejected, loaded = rows(f"number,first_name\n{row}\n{NUMBER},Asha\n")
    assert isinstance(rejected, Rejected)
    assert rejected.line == 2
    assert re.search(reason, rejected.reason), rejected.reason
    assert loaded == Row(3, NUMBER, {"first_name": "Asha"})


def test_a_row_in_another_encoding_is_rejected_and_shown_as_far_as_it_can_be_read():
    rejected = one(b"number,first_name\n+919810012345,Andr\x8e\n")
    assert rejected == Rejected(2, "the text is not UTF-8: save the file as CSV UTF-8", [NUMBER, "Andr?"])


def test_a_missing_number_names_its_column():
    rejected = one("Mobile,First Name\n,Asha\n")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "the number is missing: Mobile is empty"
