"""Phone numbers as people write them, to E.164."""

import re
from collections.abc import Iterable

import phonenumbers

# phonenumbers reads letters as keys and `;ext=` as an extension; a campaign can dial neither, so a number is only
# digits with the usual punctuation. Forty characters leave room for any real number with every separator.
_WRITTEN = re.compile(r"\A\s*\+?[0-9()\-. ]{1,40}\s*\Z", re.ASCII)


class InvalidNumber(ValueError):
    """`number` (as given) can't be called; `position` counts from 1."""

    def __init__(self, number: str, position: int) -> None:
        super().__init__(f"{number} is not a valid number")
        self.number = number
        self.position = position


def to_e164(number: str, region: str) -> str | None:
    """`098100 12345` in IN as `+919810012345`; None for what is no valid number of any country."""
    if not _WRITTEN.match(number):
        return None
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def parse_all(numbers: Iterable[str], region: str) -> list[str]:
    """Every number in E.164, in order. Raises InvalidNumber at the first that is none; the rest is not looked at."""
    parsed = []
    for position, number in enumerate(numbers, start=1):
        e164 = to_e164(number, region)
        if e164 is None:
            raise InvalidNumber(number, position)
        parsed.append(e164)
    return parsed


def masked(number: str) -> str:
    """For logs: `+91981*****45` leaves six characters and the last two, enough to tell two apart beside an id."""
    return number[:6] + "*" * (len(number) - 8) + number[-2:] if len(number) > 8 else "*" * len(number)
