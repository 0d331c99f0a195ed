"""Phone numbers: conversion of what people write to E.164, and masking for logs."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import phonenumbers

# phonenumbers reads letters as keys and `;ext=` as an extension. A campaign can dial neither, so a number is only
# digits with the usual punctuation. Forty characters are enough for any real number with every separator.
_WRITTEN = re.compile(r"\A\s*\+?[0-9()\-. ]{1,40}\s*\Z", re.ASCII)


class InvalidNumber(ValueError):
    """The number can't be called.

    number: as given. position: in its request, from 1.
    """

    def __init__(self, number: str, position: int) -> None:
        super().__init__(f"{number} is not a valid number")
        self.number = number
        self.position = position


def to_e164(number: str, region: str) -> str | None:
    """Return `098100 12345` in IN as `+919810012345`; None for a number that is not valid in any country.

    Args:
        number: as a person wrote it.
        region: the two-letter country of numbers without a country code.
    """
    if _is_valid_e164(number):
        return number
    return _parsed(number, region) if _WRITTEN.match(number) else None


def _is_valid_e164(number: str) -> bool:
    """Return True for a number that is valid E.164 as it is; False says nothing.

    Files and requests have thousands of numbers that need no rewriting. For countries that share their code with no
    other, one regular expression made of phonenumbers' own decides in a tenth of the time of parsing.
    """
    match = _CODE.match(number)
    pattern = _pattern(int(match.group(1))) if match else None
    return pattern is not None and pattern.fullmatch(number) is not None


# No country code is the beginning of another, so the first that matches is the number's.
_OF_ONE_REGION = [str(code) for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if len(regions) == 1]
_CODE = re.compile(rf"\+({'|'.join(_OF_ONE_REGION)})(?=[1-9])")


@cache
def _pattern(country_code: int) -> re.Pattern[str] | None:
    """Return an expression for the numbers of this country that `is_valid_number` accepts.

    Without those from which phonenumbers would first remove a national prefix.
    """
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
    """Return every number in E.164, in order.

    Raises:
        InvalidNumber: for the first number that is not valid. Those after it are not read.
    """
    parsed = []
    for position, number in enumerate(numbers, start=1):
        e164 = to_e164(number, region)
        if e164 is None:
            raise InvalidNumber(number, position)
        parsed.append(e164)
    return parsed


def masked(number: str) -> str:
    """Return the number for logs, as `+91981*****45`: enough to tell two calls apart beside an id."""
    return number[:6] + "*" * (len(number) - 8) + number[-2:] if len(number) > 8 else "*" * len(number)
