"""Numbers as people paste them: from a mail, a column or a row of a sheet, with any separators between them.

Spaces stand within numbers as often as between them. So a text is one number where it can be read as one, and several
where each of its parts is a number of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from contacts import numbers
from contacts.destinations import Destinations, NotCalled

# Never within a number: commas, semicolons and bars, of any script, and tabs.
_SEPARATORS = re.compile("[,;\t|\u060c\u061b\u3001\uff0c\uff1b\uff5c]")
# Between numbers or within one.
_PERHAPS = re.compile(r"[\s/&]+(?:(?:and|or)\s+)?", re.IGNORECASE)
# Before each number of a list in a mail.
_BULLETS = "•·‣◦▪*>"
# Digits without which no part is a number, so that `98100 77777` is never two.
_SHORTEST = 7
_LONGEST_SHOWN = 64


@dataclass(frozen=True)
class Bad:
    """A text that is not a number to call. line: from 1."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class Pasted:
    """What was pasted.

    Attributes:
        numbers: in E.164, each once, in their order.
        duplicates: how many of them stood there before.
        bad: with the reasons.
        pieces: texts that were looked at.
        is_cut: whether more follows that was not read.
    """

    numbers: list[str]
    duplicates: int
    bad: list[Bad]
    pieces: int
    is_cut: bool = False


def read(text: str, region: str, called: Destinations, most: int) -> Pasted:
    """Read up to `most` numbers.

    Args:
        region: the country of numbers without a country code.
        called: where the account calls.
    """
    found: dict[str, None] = {}
    bad: list[Bad] = []
    pieces = duplicates = 0
    for line, piece in _pieces(text):
        if pieces >= most:
            return Pasted(list(found), duplicates, bad, pieces, is_cut=True)
        try:
            several = _numbers(piece, region, called)
        except numbers.InvalidNumber as invalid:
            bad.append(Bad(line, piece[:_LONGEST_SHOWN], _reason(invalid)))
            pieces += 1
            continue
        pieces += len(several)
        for number in several:
            duplicates += number in found
            found[number] = None
    return Pasted(list(found), duplicates, bad, pieces)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield what stands between separators, each with its line."""
    for line, row in enumerate(text.splitlines(), start=1):
        for part in _SEPARATORS.split(row):
            piece = part.strip().lstrip(_BULLETS).strip()
            if len(piece) > 1 and piece[0] == piece[-1] and piece[0] in "\"'":
                piece = piece[1:-1].strip()
            if any(character.isalnum() for character in piece):
                yield line, piece


def _numbers(piece: str, region: str, called: Destinations) -> list[str]:
    """Return the number that the text is, or those that it is made of. Raises InvalidNumber."""
    try:
        return [_number(piece, region, called)]
    except NotCalled:
        raise
    except numbers.InvalidNumber:
        parts = [part for part in _PERHAPS.split(piece) if part]
        if len(parts) < 2 or any(sum(map(str.isdecimal, part)) < _SHORTEST for part in parts):
            raise
    return [_number(part, region, called) for part in parts]


def _number(text: str, region: str, called: Destinations) -> str:
    number = numbers.read(text, region)
    called.require(number)
    return number


def _reason(invalid: numbers.InvalidNumber) -> str:
    if isinstance(invalid, NotCalled):
        return invalid.reason
    return invalid.reason or "not a valid telephone number"
