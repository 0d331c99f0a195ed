"""Phone numbers: E.164 inside, Exotel's spelling on the wire."""

import re

SEPARATORS = re.compile(r"[\s\-()]+")
E164 = re.compile(r"\+[1-9]\d{6,14}")
INDIAN_NATIONAL_DIGITS = 10


def to_e164(written: str) -> str | None:
    """Return the number in E.164, or None if it can't be one.

    Spaces, dashes and brackets are dropped. A leading 0, or ten bare digits, mean an Indian number. Other bare digits
    are assumed to have lost their plus: `?number=+91…` reaches a server as ` 91…` when the plus is not escaped.
    """
    digits = SEPARATORS.sub("", written)
    if digits.startswith("0"):
        digits = "+91" + digits[1:]
    elif not digits.startswith("+"):
        digits = ("+91" if len(digits) == INDIAN_NATIONAL_DIGITS else "+") + digits
    return digits if digits.isascii() and E164.fullmatch(digits) else None


def to_exotel(e164: str) -> str:
    """Return the number as Exotel's v1 API writes it: Indian numbers with a leading 0 instead of +91."""
    return "0" + e164[3:] if e164.startswith("+91") else e164


def same_number(one: str, other: str) -> bool:
    """Return whether two spellings mean the same number. Other texts, such as the name of a caller ID, are compared as
    they are.
    """
    return one == other or (to_e164(one) or one) == (to_e164(other) or other)
