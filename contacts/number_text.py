"""The text of a phone number, as people and spreadsheets write it.

What surely does not belong to the number is dropped, other scripts' digits and signs become ASCII, and everything else
that is not a digit or usual punctuation is refused by name. phonenumbers itself would drop unknown characters without a
word and dial the digits that are left, which may be a stranger's number.
"""

import re
import unicodedata
from datetime import date

# Digits that a phone number can't do without, anywhere: ITU-T E.164 allows 15, and no country's subscribers have fewer
# than seven with their area code.
_SHORTEST = 7
_LONGEST = 15

# Characters that are looked at one by one: far more than any number has, with all that is around it.
_MAX_TEXT = 250

# Spreadsheets keep a number text with ="…" or an apostrophe; tel: is RFC 3966, p: what Facebook's lead exports write.
_WRAPPED = re.compile(r'\A="(.*)"\Z', re.DOTALL)
_MARKED = re.compile(r"\A(?:(?:tel|p):\s*)?['\u2018\u2019\u02BC`\u00B4]?(?=[+(\w])", re.IGNORECASE)

_ASCII = frozenset("0123456789+-(). ")
_SAME_AS = {"\uff0b": "+", "\ufe62": "+", "\u2212": "-", "\uff08": "(", "\uff09": ")", "\uff0e": "."}

_ROUNDED = re.compile(r"\+?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+")
_DATES = (
    re.compile(r"(?P<year>(?:19|20)[0-9]{2})(?P<sign>[-./])(?P<month>[0-9]{1,2})(?P=sign)(?P<day>[0-9]{1,2})"),
    re.compile(r"(?P<day>[0-9]{1,2})(?P<sign>[-./])(?P<month>[0-9]{1,2})(?P=sign)(?P<year>(?:19|20)[0-9]{2})"),
    re.compile(r"(?P<month>[0-9]{1,2})(?P<sign>[-./])(?P<day>[0-9]{1,2})(?P=sign)(?P<year>(?:19|20)[0-9]{2})"),
)
_BETWEEN_NUMBERS = re.compile(r"[,;/|&\n\r\t]|\s(?:or|and)\s", re.IGNORECASE)
# A number with a single dot before its last one or two digits: no country groups digits so, spreadsheets do.
_WHOLE_DECIMAL = re.compile(r"([^.]*)\.0{1,2}")
# Of three zeros or more, nobody can tell whether they are decimals or digits of the number.
_FRACTION = re.compile(r"[^.]*\.(?:[0-9]{1,2}|0{3,})|.*\.[0-9]")


class Unclear(ValueError):
    """The text is not one phone number; the message is the reason, as the end of a sentence about it."""


def plain(text: str) -> str:
    """Return the number in ASCII digits, `+` and the punctuation `-(). `, without anything around it.

    Raises Unclear for what is not one number written so: it names the character, or what the text looks like.
    """
    text = text.strip()
    if len(text) > _MAX_TEXT:
        raise Unclear("it is too long for one number")
    text = _unwrapped("".join(map(_folded, text)).strip())
    _refuse_what_is_something_else(text)
    for character in text:
        if character not in _ASCII:
            raise Unclear(f"the character {named(character)} is not part of a number")
    number = text.strip(" .")
    if whole := _WHOLE_DECIMAL.fullmatch(number):
        return whole[1]
    if _FRACTION.fullmatch(number):
        raise Unclear("it ends like a decimal: format the column as text and export it again")
    if "+" in number[1:]:
        raise Unclear("a + stands inside it: give one number")
    return number


def _unwrapped(text: str) -> str:
    if wrapped := _WRAPPED.match(text):
        text = wrapped[1].strip()
    return _MARKED.sub("", text, count=1)


def _refuse_what_is_something_else(text: str) -> None:
    if _ROUNDED.fullmatch(text):
        raise Unclear("a spreadsheet has rounded this number: format the column as text and export it again")
    if any(_is_date(match) for pattern in _DATES if (match := pattern.fullmatch(text))):
        raise Unclear("it is a date")
    if len(_numbers_in(_BETWEEN_NUMBERS.split(text))) > 1 or _are_two_side_by_side(text):
        raise Unclear("two numbers are in one place: give each its own")


def _is_date(match: re.Match[str]) -> bool:
    try:
        date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return False
    return True


def _are_two_side_by_side(text: str) -> bool:
    """Tell whether spaces, or a second plus, part the text into two numbers that are too long to be one."""
    if text.count("+") > 1:
        return len(_numbers_in(text.split("+"))) > 1
    return _digits(text) > _LONGEST and len(_numbers_in(re.split(r"\s{1,}", text))) > 1


def _numbers_in(parts: list[str]) -> list[str]:
    return [part for part in parts if _digits(part) >= _SHORTEST]


def _digits(text: str) -> int:
    return sum(character.isdecimal() for character in text)


def _folded(character: str) -> str:
    """Return the same in ASCII, where the character is a digit or usual in numbers."""
    if character in _ASCII:
        return character
    if character in _SAME_AS:
        return _SAME_AS[character]
    match unicodedata.category(character):
        case "Nd":
            return str(unicodedata.digit(character))
        case "Pd":
            return "-"
        case "Zs":
            return " "
        case "Cf":  # marks of direction, and joiners, which phones and web pages copy along
            return ""
    return character


def named(character: str) -> str:
    """Write `“x” (U+0078 LATIN SMALL LETTER X)`, so that look-alikes can be told apart."""
    shown = f"“{character}” " if character.isprintable() else ""
    name = unicodedata.name(character, "a control character")
    return f"{shown}(U+{ord(character):04X} {name})"
