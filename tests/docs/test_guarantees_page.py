"""The faults on the guarantees page are those that `make chaos` makes."""

import re

from tests.docs.pages import ROOT, section, table
from tools.chaos.faults import ROWS

PAGE = ROOT / "docs" / "operator" / "guarantees.md"


def test_the_table_of_faults_has_every_row_of_the_chaos_runs():
    told = []
    for number, faults in table(section(PAGE, "How it is shown")):
        letters = re.findall(r"\b[a-z]\b", " ".join(re.findall(r"\(((?:[a-z], )*[a-z])\)", faults)))
        told += [f"{number}{letter}" for letter in letters] or [number]
    assert told == [row.number for row in ROWS]
