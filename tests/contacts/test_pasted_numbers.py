"""Numbers that somebody has pasted: any spelling, any separator, and a reason for each that can't be read."""

import pytest

from contacts import numbers, pasted_numbers
from contacts.numbers import InvalidNumber

A, B, C = (f"+9198100123{n}" for n in (45, 46, 47))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{A},{B};{C}", [A, B, C]),
        (f"{A}\r\n{B}\t{C}|{A}", [A, B, C]),
        ("98100 12345\n098100-12346", [A, B]),
        (f"{A} {B}  {C}", [A, B, C]),
        ("9810012345 9810012346", [A, B]),
        ("98100 12345 98100 12346 098100-12347", [A, B, C]),
        ("9810012345/9810012346 & 9810012347", [A, B, C]),
        ("9810012345 or 9810012346", [A, B]),
        (f'["{A}", "{B}"]', [A, B]),
        (f"\ufeff{A}\u2028{B}", [A, B]),
        ("00919810012345", [A]),
        (" \n, ;", []),
    ],
)
def test_any_separator_is_read(text, found):
    pasted = pasted_numbers.read(text, "IN")
    assert pasted.numbers == found
    assert pasted.refused == []


def test_a_number_that_stands_twice_is_counted():
    pasted = pasted_numbers.read(f"{A}\n98100 12345, {B}", "IN")
    assert (pasted.numbers, pasted.duplicates) == ([A, B], 1)


def test_what_is_no_number_is_named_with_its_line_and_the_rest_is_kept():
    pasted = pasted_numbers.read(f"{A}\n\nhello, {B}\n12;9,81001E+09", "IN")
    assert pasted.numbers == [A, B]
    assert [(one.line, one.text) for one in pasted.refused] == [(3, "hello"), (4, "12"), (4, "9"), (4, "81001E+09")]
    assert all(one.reason for one in pasted.refused)


def test_a_slash_within_a_number_separates_nothing():
    pasted = pasted_numbers.read("030/901820", "DE")
    assert [one.text for one in pasted.refused] == ["030/901820"]


def test_what_is_left_over_is_refused_with_the_number_beside_it():
    pasted = pasted_numbers.read("98100 12345 12", "IN")
    assert pasted.numbers == []
    assert [one.text for one in pasted.refused] == ["98100 12345 12"]


def test_what_can_be_read_in_two_ways_is_refused(monkeypatch):
    """Never a number that nobody meant: it would keep a stranger from being called."""
    known = {"1111 2222": A, "3333 4444": B, "1111 2222 3333": C, "4444 5555": A}

    def read(text, _region):
        if text not in known:
            raise InvalidNumber(text)
        return known[text]

    monkeypatch.setattr(numbers, "read", read)
    assert pasted_numbers.read("1111 2222 3333 4444", "IN").numbers == [A, B]
    known["4444"] = B
    monkeypatch.setattr(pasted_numbers, "_FEWEST", 4)
    assert pasted_numbers.read("1111 2222 3333 4444", "IN").numbers == []


def test_rubbish_is_read_in_few_steps(monkeypatch):
    tried = 0
    read = numbers.read

    def counted(text, region):
        nonlocal tried
        tried += 1
        return read(text, region)

    monkeypatch.setattr(numbers, "read", counted)
    text = "\n".join(["1234 5678 9012 3456 " * 5] * 300)
    assert len(pasted_numbers.read(text, "IN").refused) == 300
    assert tried < 10_000
