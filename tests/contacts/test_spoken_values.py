"""Values that a campaign would read aloud as nothing, or as an error of a spreadsheet."""

import pytest

from contacts.csv_uploads.columns import MAX_CELL
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records
from contacts.csv_uploads.spoken_values import ValueRule
from tests.contacts.csv_files import DYNAMIC, NUMBER, layout, lines

SPOKEN = [
    "0", "0.00", "-5", "5,000", "₹ 500", "आशा", "कि", "₹५००", "#1", "#12 Main Road", "Room #4", "#wow!", "#C!x", "1!",
    "Null", "Nan", "None", "No", "NA", "Na", "N", "nil", "Error", "Err", "Err: 5", "²", "½", "(none)", "@@Fee", "#A",
]  # fmt: skip
BLANK = [
    "",
    " ",
    "\u00a0",
    "\u200b",
    "\u200e\u200f",
    "-",
    "--",
    "\u2013",
    ".",
    "...",
    "?",
    "'",
    "*",
    "₹",
    "/",
    "\u3000",
]
ERRORS = [
    "#N/A", "#n/a", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#ERROR!",
    "#GETTING_DATA", "#BUSY!", "#WERT!", "#BEZUG!", "#NV", "#ZAHL!", "#VALEUR!", "#NOM?", "#¡VALOR!", "#¿NOMBRE?",
    "#N/D", "#RIF!", "#NÚM!", "#WAARDE!", "#ССЫЛКА!", "#ИМЯ?", "#DEĞER!", "#VÆRDI!", "#YOK", "Err:502", "N/A", "n/a",
    "NULL", "null", "NaN", "nan", "undefined", r"\N", "Loading...",
]  # fmt: skip


@pytest.mark.parametrize("text", SPOKEN)
def test_what_can_be_spoken_is_taken(text):
    assert ValueRule().problem({"Fee": text}) == ""


@pytest.mark.parametrize("text", BLANK)
def test_what_has_no_letter_or_digit_is_blank_unless_the_list_allows_it(text):
    assert ValueRule().problem({"Name": "Asha", "Fee": text}).startswith("no value for Fee")
    assert ValueRule(allows_blanks=True).problem({"Name": "Asha", "Fee": text}) == ""


@pytest.mark.parametrize("text", ERRORS)
@pytest.mark.parametrize("allows_blanks", [False, True])
def test_errors_are_never_taken(text, allows_blanks):
    assert f"Fee is {text}," in ValueRule(allows_blanks=allows_blanks).problem({"Name": "Asha", "Fee": text})


@pytest.mark.parametrize("length", [1, 2, 8, 30])
def test_the_signs_of_a_column_that_is_too_narrow_are_refused(length):
    assert ValueRule().problem({"Fee": "#" * length}).startswith("no value for Fee but #")
    assert "Fee is #" in ValueRule(allows_blanks=True).problem({"Fee": "#" * length})


def test_all_blank_columns_are_named():
    assert "for Name, Fee:" in ValueRule().problem({"Name": "", "Class": "4", "Fee": " "})


def rows(content: str, rule: ValueRule | None) -> list[Row | Rejected]:
    found = layout(content, DYNAMIC)
    return [parse_record(record, found, "IN", rule) for record in read_records(lines(content), found)]


@pytest.mark.parametrize("row", [f"{NUMBER},Asha,", f"{NUMBER},Asha", f'{NUMBER},Asha," "', f"{NUMBER},Asha,-"])
def test_a_row_is_rejected_with_its_line_and_column(row):
    content = f"number,Name,Fee\n{NUMBER},Asha,1\n{row}\n"
    taken, rejected = rows(content, ValueRule())
    assert isinstance(taken, Row)
    assert isinstance(rejected, Rejected)
    assert rejected.line == 3
    assert "no value for Fee" in rejected.reason
    assert all(isinstance(row, Row) for row in rows(content, ValueRule(allows_blanks=True)))


@pytest.mark.parametrize("rule", [ValueRule(), ValueRule(allows_blanks=True)])
@pytest.mark.parametrize("length", [MAX_CELL + 1, 4000, 60_000, 230_000])
def test_a_long_value_is_rejected(rule, length):
    short, long = rows(f"number,Fee\n{NUMBER},{'9' * MAX_CELL}\n{NUMBER},{'9' * length}\n", rule)
    assert isinstance(short, Row)
    assert isinstance(long, Rejected)
    assert "is longer than" in long.reason


def test_an_invalid_number_is_told_first():
    (rejected,) = rows("number,Fee\n+9112,\n", ValueRule())
    assert isinstance(rejected, Rejected)
    assert "not a valid number" in rejected.reason


@pytest.mark.parametrize("names", [["a" * 255, "b" * 255, "c" * 255], ["आ" * 255] * 1])
def test_a_reason_fits_where_it_is_stored(names):
    content = f"number,{','.join(names)}\n{NUMBER}\n"
    (rejected,) = rows(content, ValueRule())
    assert isinstance(rejected, Rejected)
    assert len(rejected.reason) <= 255
