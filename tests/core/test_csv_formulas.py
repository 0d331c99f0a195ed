"""The guard against formulas: in Python and in PostgreSQL the same."""

import pytest
from django.db import connection

from core import csv_formulas

CELLS = [
    ("=1+1", "'=1+1"),
    ("+SUM(A1)", "'+SUM(A1)"),
    ("-2", "'-2"),
    ("@x", "'@x"),
    ("\t=1", "'\t=1"),
    ("\n=1", "'\n=1"),
    ("\r=1", "'\r=1"),
    ("\uff1d1", "'\uff1d1"),
    ("\uff0d1", "'\uff0d1"),
    ("Asha =1", "Asha =1"),
    ("", ""),
    ("'=1", "'=1"),
]


@pytest.mark.parametrize(("cell", "guarded"), CELLS)
def test_a_cell_that_begins_like_a_formula_becomes_text(db, cell, guarded):
    assert csv_formulas.neutral(cell) == guarded
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {csv_formulas.neutral_sql('cell')} FROM (SELECT %s::text AS cell) AS given", [cell])
        assert cursor.fetchone() == (guarded,)


@pytest.mark.parametrize("number", ["+919810012345", "+"])
def test_a_phone_number_stays_as_it_is(number):
    assert csv_formulas.neutral(number) == number
