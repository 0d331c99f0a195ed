"""The faults on the guarantees page are those that `make chaos` makes, and the mutants those of `make mutants`."""

import re

from tests.docs.pages import ROOT, section, table
from tools.chaos.faults import ROWS
from tools.mutants import catalogue
from tools.mutants.__main__ import markdown

PAGE = ROOT / "docs" / "operator" / "guarantees.md"


def test_the_table_of_faults_has_every_row_of_the_chaos_runs():
    told = []
    for number, faults in table(section(PAGE, "How it is shown")):
        letters = re.findall(r"\b[a-z]\b", " ".join(re.findall(r"\(((?:[a-z], )*[a-z])\)", faults)))
        told += [f"{number}{letter}" for letter in letters] or [number]
    assert told == [row.number for row in ROWS]


def test_the_table_of_mutants_is_that_of_the_catalogue():
    """`python -m tools.mutants --markdown` prints it."""
    assert markdown(catalogue.load()) in section(PAGE, "What the judges see")
