"""Numbers as people paste them: what is one number, what are several, and what is said of the rest."""

import pytest

from console.new_campaign import pasted
from contacts.destinations import Destinations

A, B, C = "+919810012345", "+919810012346", "+919810012347"
CALLED = Destinations(frozenset({"IN"}), frozenset({"mobile", "landline", "voip"}))


def read(text, most=100, called=CALLED):
    return pasted.read(text, "IN", called, most)


@pytest.mark.parametrize(
    "text",
    [
        f"{A},{B}",
        f"{A};{B}",
        f"{A}\n{B}\n",
        f"{A}\r\n{B}",
        f"{A}\t{B}",
        f"{A} | {B}",
        f"{A}、{B}",
        f"{A}، {B}",
        f"{A} {B}",
        f"{A} / {B}",
        f"{A} and {B}",
        "9810012345 9810012346",
        "098100 12345, 098100 12346",
        "98100 12345\n98100-12346",
        "(098100) 12345; +91 98100-12346",
        "00919810012345,919810012346",
        '"9810012345","9810012346"',
        "'9810012345\n'9810012346",
        ";;9810012345,,\n\n , 9810012346 ,",
        "9810012345\n-\n9810012346",
        "• 9810012345\n* 9810012346",
        "> 9810012345\n> 9810012346",
        "९८१००१२३४५, 9810012346",
    ],
)
def test_any_separator_parts_numbers_and_spaces_stand_within(text):
    found = read(text)
    assert found.numbers == [A, B]
    assert found.bad == []


def test_a_number_with_spaces_is_one():
    assert read("98100 12345").numbers == [A]
    assert read("+91 98100 12345").numbers == [A]


@pytest.mark.parametrize("text", ["98100 12345 98100 12346", "9810012345 12", "9810012345 or else"])
def test_where_it_is_not_clear_which_numbers_those_are_nobody_is_called(text):
    found = read(text)
    assert found.numbers == []
    [bad] = found.bad
    assert bad.text == text
    assert bad.reason


def test_each_bad_row_has_its_line_and_its_reason():
    found = read(f"name\n{A}\n{B},12\n\n+1 202 555 0123\n+919810012347")
    assert found.numbers == [A, B, C]
    assert [(bad.line, bad.text) for bad in found.bad] == [(1, "name"), (3, "12"), (5, "+1 202 555 0123")]
    assert "this account calls IN only" in found.bad[2].reason
    assert all(bad.reason for bad in found.bad)


def test_a_number_that_stands_there_twice_counts_once():
    found = read(f"{A}, 98100 12345\n09810012345, {B}")
    assert (found.numbers, found.duplicates, found.pieces) == ([A, B], 2, 4)


def test_no_more_is_read_than_one_campaign_takes():
    found = read(f"{A},{B},{C}", most=2)
    assert (found.numbers, found.is_cut) == ([A, B], True)
    assert not read(f"{A},{B}", most=2).is_cut


@pytest.mark.parametrize("text", ["", " \n\t", ",;|", "…", "--"])
def test_nothing_is_nothing(text):
    found = read(text)
    assert (found.numbers, found.bad, found.pieces) == ([], [], 0)
