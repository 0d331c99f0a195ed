"""Telephone numbers that somebody has pasted, with any separators: what can be read, and why not the rest."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contacts import numbers
from contacts.numbers import InvalidNumber

# Signs that are in no number, then signs that are in some, such as 030/901820.
_SEPARATORS = re.compile(r"[\t,;|]+")
_UNSURE_SEPARATORS = re.compile(r"\s*[/&]\s*|\s+(?:or|and)\s+", re.IGNORECASE)
# What lists of programs have around their numbers.
_AROUND = ' "[]{}<>\u00a0\u200b\ufeff'
# Digits of the shortest and of the longest number, with 00 before it: words that have less or more are none.
_FEWEST, _MOST = 7, 17
# Words of one number, and of a part whose words are tried together. A text with more mistakes than these is no list of
# numbers, and gets no more such tries: each takes a millisecond.
_WORDS_OF_A_NUMBER, _WORDS_OF_A_PART, _MOST_MISTAKES = 8, 60, 100


@dataclass(frozen=True)
class Refused:
    """What is not a number, where it stands, and why; `line` counts from 1."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class Pasted:
    """What a text has.

    Attributes:
        numbers: in E.164, in their order, each once.
        duplicates: how many stood there again.
        refused: the rest.
    """

    numbers: list[str]
    duplicates: int
    refused: list[Refused]


def read(text: str, region: str) -> Pasted:
    """Read all numbers of a text.

    A blank separates where what it is in is not one number: `98100 12345` is one. What can be read in two ways is
    refused.

    Args:
        region: the two letters of the country whose national numbers they may be.
    """
    found: list[str] = []
    refused: list[Refused] = []
    for line, part in _parts(text):
        try:
            found += _numbers_of(part, region, tries_groups=len(refused) < _MOST_MISTAKES)
        except InvalidNumber as error:
            refused.append(Refused(line, part, error.reason or "it is not a valid number of any country"))
    unique = list(dict.fromkeys(found))
    return Pasted(unique, len(found) - len(unique), refused)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    for line, written in enumerate(text.splitlines(), start=1):
        for part in _SEPARATORS.split(written):
            if stripped := part.strip(_AROUND):
                yield line, stripped


def _numbers_of(part: str, region: str, *, tries_groups: bool) -> Sequence[str]:
    """Return the numbers of a part. Raises InvalidNumber, with the reason why it is not one number."""
    try:
        return [numbers.read(part, region)]
    except InvalidNumber:
        words = part.split()
        several = _all_read(_UNSURE_SEPARATORS.split(part), region) or _all_read(words, region)
        if not several and tries_groups and len(words) <= _WORDS_OF_A_PART:
            several = _grouped(words, region)
        if several:
            return several
        raise


def _all_read(words: Sequence[str], region: str) -> list[str]:
    """Return the number of each word; nothing where a word is no number."""
    if len(words) < 2:
        return []
    read = []
    for word in words:
        number = numbers.to_e164(word, region)
        if number is None:
            return []
        read.append(number)
    return read


def _grouped(words: Sequence[str], region: str) -> list[str]:
    """Return the numbers that the words are in groups; nothing where there is no way, or more than one."""
    # For each place how many ways lead there, and the last one: two ways are as bad as none.
    ways: list[tuple[int, list[str]]] = [(1, [])]
    for end in range(1, len(words) + 1):
        count, path = 0, []
        for start in range(max(0, end - _WORDS_OF_A_NUMBER), end):
            before, read = ways[start]
            if before and (number := _joined(words[start:end], region)):
                count, path = count + before, [*read, number]
        ways.append((count, path))
    count, path = ways[-1]
    return path if count == 1 else []


def _joined(words: Sequence[str], region: str) -> str | None:
    digits = sum(character.isdigit() for word in words for character in word)
    return numbers.to_e164(" ".join(words), region) if _FEWEST <= digits <= _MOST else None
