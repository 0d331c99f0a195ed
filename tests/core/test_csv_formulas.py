"""The guard against formulas: in Python and in PostgreSQL the same."""

import csv
import io
import re

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import csv_formulas

CELLS = [
    ("=1+1", "'=1+1"),
    ("+SUM(A1)", "'+SUM(A1)"),
    ("-2", "'-2"),
    ("@x", "'@x"),
    ("\t=1", "'\t'=1"),
    ("\n=1", "'\n'=1"),
    ("\r=1", "'\r'=1"),
    ("\t1", "'\t1"),
    ("\uff1d1", "'\uff1d1"),
    ("\uff0d1", "'\uff0d1"),
    (" =1", "' =1"),
    ("Asha =1", "Asha =1"),
    ("", ""),
    ("'=1", "'=1"),
    # What a spreadsheet that cuts elsewhere would take for a cell of its own.
    ("Asha;=1+1", "Asha;'=1+1"),
    ("Asha; =1+1", "Asha;' =1+1"),
    ("Asha\t@SUM(A1)", "Asha\t'@SUM(A1)"),
    ("Asha,+1+1;-1+1", "Asha,'+1+1;'-1+1"),
    ("a\r\n=1\nb", "a\r\n'=1\nb"),
    ("a;;=1", "a;;'=1"),
    ("a;\uff1d1", "a;'\uff1d1"),
    ('a;"=1;"', 'a;\'"=1;"'),
    ("=1;=1", "'=1;'=1"),
    ("a;'=1", "a;'=1"),
    ("a;-2+cmd|' /C calc'!A0", "a;'-2+cmd|' /C calc'!A0"),
    ("a;+1 =1", "a;'+1 =1"),
    ("a;-1", "a;'-1"),
    ("a;-1,5+1", "a;'-1,5+1"),
    ("a,-1;5", "a,'-1;5"),
    # A number after a comma runs nothing.
    ("[1,-2, -3.5]", "[1,-2, -3.5]"),
    ('{"term": "2, late", "x": [1,-2]}', '{"term": "2, late", "x": [1,-2]}'),
    ("Rao, Asha; 2 a=b", "Rao, Asha; 2 a=b"),
]


def in_postgresql(cell: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {csv_formulas.neutral_sql('cell')} FROM (SELECT %s::text AS cell) AS given", [cell])
        (guarded,) = cursor.fetchone()
    return str(guarded)


@pytest.mark.parametrize(("cell", "guarded"), CELLS)
def test_what_a_spreadsheet_would_run_becomes_text(db, cell, guarded):
    assert csv_formulas.neutral(cell) == guarded
    assert in_postgresql(cell) == guarded


@pytest.mark.parametrize("number", ["+919810012345", "+", "+919810012345,+919810012346"])
def test_a_phone_number_stays_as_it_is(number):
    assert csv_formulas.neutral(number).lstrip("'") == number


TEXTS = st.text(alphabet=st.sampled_from("=+-@;,\t\r\n\"' a1.]\uff1d"), max_size=12)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_python_and_postgresql_guard_alike(db, text):
    # A number alone is for programs to read in Python only.
    if not csv_formulas._number.match(text):
        assert in_postgresql(text) == csv_formulas.neutral(text)


@settings(max_examples=1000, deadline=None)
@given(text=TEXTS.map(lambda text: text.replace("'", "")))
def test_the_guard_can_be_taken_away(text):
    assert csv_formulas.original(csv_formulas.neutral(text)) == text


@pytest.mark.parametrize("cell", ["'Asha'", "O'Neill", "'98 class", ",'-1", "a;'b"])
def test_apostrophes_that_guard_nothing_stay(cell):
    assert csv_formulas.original(cell) == cell


def is_formula(cell: str) -> bool:
    """Return whether a spreadsheet would take the cell for a formula; a lone number, or what it can't be, is none."""
    return bool(re.match(r" *[=+@\uff1d-]", cell)) and not re.match(r" *[+-][0-9.]*(\Z|[]])", cell)


@settings(max_examples=1000, deadline=None)
@given(cells=st.tuples(TEXTS, TEXTS), delimiter=st.sampled_from(",;\t"))
def test_no_way_to_cut_the_file_makes_a_formula(cells, delimiter):
    """Cut by a spreadsheet that knows only one of the delimiters, with a cell of ours before and behind."""
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(["x", *map(csv_formulas.neutral, cells), "y"])
    found = list(csv.reader(io.StringIO(line.getvalue(), newline=""), delimiter=delimiter))
    assert not [cell for row in found for cell in row if is_formula(cell)], found
