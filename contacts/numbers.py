"""Phone numbers as people write them, to E.164."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

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
    if _is_valid_e164(number):
        return number
    return _parsed(number, region) if _WRITTEN.match(number) else None


def _is_valid_e164(number: str) -> bool:
    """Whether it is a valid number as it stands; False says nothing.

    Files and requests hold thousands of numbers that need no rewriting. For those of countries that share their code
    with none, validity is one expression made of phonenumbers' own: a tenth of the time of parsing.
    """
    match = _CODE.match(number)
    pattern = _pattern(int(match.group(1))) if match else None
    return pattern is not None and pattern.fullmatch(number) is not None


# Country codes are free of prefixes, so the first of these that fits is the number's.
_OF_ONE_REGION = [str(code) for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if len(regions) == 1]
_CODE = re.compile(rf"\+({'|'.join(_OF_ONE_REGION)})(?=[1-9])")


@cache
def _pattern(country_code: int) -> re.Pattern[str] | None:
    """What `is_valid_number` asks of a number of this country, and that no prefix is taken off it before."""
    [region] = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[country_code]
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return None
    prefix = f"(?!{metadata.national_prefix_for_parsing})" if metadata.national_prefix_for_parsing else ""
    kinds = "|".join(_described(getattr(metadata, kind)) for kind in _KINDS if _is_described(getattr(metadata, kind)))
    return re.compile(rf"\+{country_code}{prefix}(?={_described(metadata.general_desc)}\Z)(?:{kinds})", re.ASCII)


_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan",
    "voicemail",
)  # fmt: skip


def _is_described(kind: Any) -> bool:
    return bool(kind and kind.national_number_pattern)


def _described(kind: Any) -> str:
    lengths = "|".join(f"[0-9]{{{length}}}" for length in kind.possible_length if length > 0)
    return (
        rf"(?:(?=(?:{lengths})\Z)(?:{kind.national_number_pattern}))"
        if lengths
        else f"(?:{kind.national_number_pattern})"
    )


def _parsed(number: str, region: str) -> str | None:
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
