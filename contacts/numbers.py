"""Phone numbers as people write them, to E.164.

The digits that go out are the digits that came in, with the country code in place of a trunk prefix, or the number is
refused: a wrong reading rings a stranger.
"""

from collections.abc import Iterable

import phonenumbers

from contacts import e164_patterns, number_text
from contacts.number_text import Unclear

# A run like this is what people type when they have no number. Written with + and the country code it is taken.
_RUNS = ("01234567890123456789", "98765432109876543210")


_PLACEHOLDER = "it looks like a placeholder: write it with + and the country code, if it is meant"


class InvalidNumber(ValueError):
    """`number` (as given) can't be called, and why; `position` counts from 1, where it is one of several."""

    def __init__(self, number: str, reason: str = "", position: int = 1) -> None:
        super().__init__(f"{number} is not a valid number" + (f": {reason}" if reason else ""))
        self.number = number
        self.reason = reason
        self.position = position


def read(number: str, region: str) -> str:
    """Return `098100 12345` in IN as `+919810012345`.

    Args:
        number: as given, in any script's digits, with the usual punctuation.
        region: the two letters of the country whose national numbers it may be.

    Raises:
        InvalidNumber: it is not a valid number of any country, or its text has more than one reading.
    """
    if e164_patterns.is_valid(number):
        return number
    try:
        text = number_text.plain(number)
        return _international(text) if text.startswith("+") else _national(text, region)
    except Unclear as unclear:
        raise InvalidNumber(number, str(unclear)) from unclear


def to_e164(number: str, region: str) -> str | None:
    """Return what `read` does, or None where it raises."""
    try:
        return read(number, region)
    except InvalidNumber:
        return None


def parse_all(numbers: Iterable[str], region: str) -> list[str]:
    """Return every number in E.164, in order. Raises InvalidNumber at the first invalid one and looks no further."""
    parsed = []
    for position, number in enumerate(numbers, start=1):
        try:
            parsed.append(read(number, region))
        except InvalidNumber as invalid:
            raise InvalidNumber(number, invalid.reason, position) from invalid
    return parsed


def masked(number: str) -> str:
    """Return `+91981*****45` for logs: six characters and the last two tell two numbers apart beside an id."""
    return number[:6] + "*" * (len(number) - 8) + number[-2:] if len(number) > 8 else "*" * len(number)


def _international(text: str) -> str:
    """Read a number with its country code. The `(0)` of `+44 (0)20 …` is for callers at home and is left out."""
    text = text.replace("(0)", "", 1)
    parsed = _valid(text, None)
    if parsed is None:
        raise Unclear("")
    e164 = _written(parsed)
    if e164 != f"+{_digits(text)}":
        raise Unclear(f"it would be dialed as {e164}: write that, if it is meant")
    return e164


def _national(text: str, region: str) -> str:
    """Read a number without a plus: a national one, or one that has lost its plus in a spreadsheet."""
    digits = _digits(text)
    if _is_placeholder(digits):
        raise Unclear(_PLACEHOLDER)
    national = _valid(text, region)
    if national and not _is_same_number(digits, national, region):
        national = None
    own_code = phonenumbers.country_code_for_region(region)
    lost_plus = _valid(f"+{digits}", None) if own_code and digits.startswith(str(own_code)) else None
    if lost_plus and _written(lost_plus) != f"+{digits}":
        lost_plus = None
    readings = {_written(reading): reading for reading in (national, lost_plus) if reading}
    if any(_is_placeholder_with_its_country(digits, reading) for reading in readings.values()):
        raise Unclear(_PLACEHOLDER)
    if len(readings) > 1 and national and not _has_its_trunk_prefix(digits, national, region):
        return f"+{digits}"
    if len(readings) > 1:
        raise Unclear(f"it can be read as {' or '.join(readings)}: write it with + and the country code")
    if not readings:
        raise Unclear("")
    return next(iter(readings))


def _valid(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_valid_number(parsed) else None


def _is_same_number(digits: str, parsed: phonenumbers.PhoneNumber, region: str) -> bool:
    """Tell whether only a prefix was taken off.

    Countries with a transform rule (Argentina: 011 15 … becomes 9 11 …) rewrite the inside by their numbering plan.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    rewrites = metadata is not None and metadata.national_prefix_transform_rule is not None
    return rewrites or digits.endswith(phonenumbers.national_significant_number(parsed))


def _has_its_trunk_prefix(digits: str, parsed: phonenumbers.PhoneNumber, region: str) -> bool:
    """Tell whether a national reading is written as its country writes it: with the trunk prefix, where one is usual.

    Germans write 030 …, so `4930…` is no national number there; Italians have no trunk prefix at all.
    """
    prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True)
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    if prefix is None or not _digits(national).startswith(prefix):
        return True
    return digits.startswith(prefix)


def _is_placeholder(digits: str) -> bool:
    subscriber = digits.removeprefix("0") if len(digits) > 10 else digits
    return len(digits) >= 7 and (
        len(set(subscriber)) == 1 or any(digits in run for run in _RUNS) or any(subscriber in run for run in _RUNS)
    )


def _is_placeholder_with_its_country(digits: str, parsed: phonenumbers.PhoneNumber) -> bool:
    """Tell whether `919999999999` or `00919999999999` was written, whose national number is a placeholder."""
    subscriber = phonenumbers.national_significant_number(parsed)
    return digits.endswith(f"{parsed.country_code}{subscriber}") and _is_placeholder(subscriber)


def _written(parsed: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))
