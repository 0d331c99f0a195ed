"""Which numbers in E.164 are valid as they stand: one regular expression per country, made of phonenumbers' own.

Files and requests hold thousands of numbers that need no rewriting. An expression costs a tenth of parsing.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import phonenumbers

Pattern = re.Pattern[str]

# Country codes are free of prefixes, so the first of these that fits is the number's. Countries that share a code
# (North America, Russia and Kazakhstan …) are left to parsing.
_OF_ONE_REGION = [str(code) for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if len(regions) == 1]
_CODE = re.compile(rf"\+({'|'.join(_OF_ONE_REGION)})(?=[1-9])")
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan",
    "voicemail",
)  # fmt: skip


def is_valid(number: str) -> bool:
    """Tell whether it is a valid number in E.164 as it stands; False decides nothing."""
    match = _CODE.match(number)
    pattern = _pattern(match[1]) if match else None
    return pattern is not None and pattern.fullmatch(number) is not None


@cache
def _pattern(country_code: str) -> re.Pattern[str] | None:
    """Return what `is_valid_number` asks of this country's numbers, and that no prefix would be taken off before."""
    [region] = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(country_code)]
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return None
    prefix = f"(?!{metadata.national_prefix_for_parsing})" if metadata.national_prefix_for_parsing else ""
    kinds = "|".join(_described(getattr(metadata, kind)) for kind in _KINDS if _is_described(getattr(metadata, kind)))
    return re.compile(rf"\+{country_code}{prefix}(?={_described(metadata.general_desc)}\Z)(?:{kinds})", re.ASCII)


def of_kinds(region: str, allowed: Iterable[str], denied: Iterable[str]) -> Pattern | None:
    """Return a pattern of numbers of the region, in E.164, that are of an allowed kind and of no denied one.

    A number may fit several kinds, and phonenumbers takes the first of its list. What this pattern does not fit may be
    of an allowed kind all the same.

    Args:
        region: of those that share a country code, only the first has a pattern; None for the others.
        allowed, denied: names of accounts.models.NumberKind.
    """
    country_code = phonenumbers.country_code_for_region(region)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.leading_digits or phonenumbers.region_code_for_country_code(country_code) != region:
        return None
    # A landline's or a mobile's pattern denies nothing: every special kind comes before them.
    special = _alternatives(metadata, [kind for kind in denied if kind not in {"landline", "mobile"}])
    wanted = _alternatives(metadata, allowed)
    if not wanted:
        return None
    prefix = f"(?!{metadata.national_prefix_for_parsing})" if metadata.national_prefix_for_parsing else ""
    unless = rf"(?!(?:{special})\Z)" if special else ""
    general = rf"(?={_described(metadata.general_desc)}\Z)"
    return re.compile(rf"\+{country_code}{prefix}{general}{unless}(?:{wanted})\Z", re.ASCII)


def _alternatives(metadata: Any, kinds: Iterable[str]) -> str:
    described = (getattr(metadata, _DESCRIBED.get(kind, kind.replace("-", "_"))) for kind in kinds)
    return "|".join(_described(kind) for kind in described if _is_described(kind))


# What phonenumbers calls the kinds whose names differ.
_DESCRIBED = {"landline": "fixed_line", "personal": "personal_number"}


def _is_described(kind: Any) -> bool:
    return bool(kind and kind.national_number_pattern)


def _described(kind: Any) -> str:
    lengths = "|".join(f"[0-9]{{{length}}}" for length in kind.possible_length if length > 0)
    return (
        rf"(?:(?=(?:{lengths})\Z)(?:{kind.national_number_pattern}))"
        if lengths
        else f"(?:{kind.national_number_pattern})"
    )
