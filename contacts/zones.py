"""Where the phone of a number is taken to be: country, state, and every time zone that it may be in.

The zone of a number is a guess, as people move with their phones. A zone that the contact has, or the row of a list, is
better, and is still only said by somebody. So all of them count, where they disagree or a number has several, and a
call is made only where it is allowed in each. The account's own zone counts where nothing else is known.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import phonenumbers
from django.core.exceptions import ValidationError
from phonenumbers import timezone
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

from accounts.models import Account
from contacts.models import Contact
from core import time_zones

# The column of a list that has the zone of each row's number.
COLUMN = "time_zone"
CONTACT, LIST, NUMBER, ACCOUNT = "contact", "list", "number", "account"
_AREA_CODES = Path(__file__).with_name("area_codes.toml")
_UNKNOWN = "Etc/Unknown"
_REGIONS = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
# Countries that are no place: satellite phones and international services.
_NO_COUNTRY = "001"
# The most digits of a country code.
_CODE_DIGITS = 3


@dataclass(frozen=True)
class Place:
    """Where a number is taken to be.

    Attributes:
        zones: preferred names of all time zones that it may be in; never empty.
        country: two letters, or "".
        region: of the country: TN, FL …, where the number tells it, or "".
        sources: who says so: `contact`, `list`, `number`, `account`.
    """

    zones: tuple[str, ...]
    country: str
    region: str
    sources: tuple[str, ...]

    @property
    def provenance(self) -> str:
        """Say whose zones these are: `by the zones of the contact and number`."""
        *others, last = self.sources
        named = f"{', '.join(others)} and {last}" if others else last
        return f"by the zone{'s' * bool(others)} of the {named}"


def places_of(
    account: Account, numbers: Iterable[str], of_rows: Mapping[str, Iterable[str]] | None = None
) -> dict[str, Place]:
    """Return the place of each number, in one query for all of them.

    Args:
        numbers: in E.164.
        of_rows: zones that lists give in a column, by number. Names that are no zone count for nothing.
    """
    numbers, of_rows = list(numbers), of_rows or {}
    known = Contact.objects.filter(account=account.pk, number__in=numbers).exclude(time_zone="")
    own = dict(known.values_list("number", "time_zone"))
    return {
        number: place(number, account.time_zone, own.get(number, ""), tuple(of_rows.get(number, ())))
        for number in numbers
    }


def place(number: str, account_zone: str, own_zone: str = "", of_rows: tuple[str, ...] = ()) -> Place:
    """Return the place of a number, as these zones say and the number itself does."""
    start = number.removeprefix("+")[:_CODE_DIGITS]
    alike = _by_country_code(start, account_zone, own_zone, of_rows)
    return alike or _together(*_of_number(number), account_zone, own_zone, of_rows)


@lru_cache(maxsize=16_384)
def _by_country_code(start: str, account_zone: str, own_zone: str, of_rows: tuple[str, ...]) -> Place | None:
    """Return the place of all numbers that begin so, where it depends on no other digit; else None.

    Most batches are of one such country, and every call is asked about.
    """
    country, zones = _whole_country(_country_code(start))
    if not country or len(zones) > 1:
        return None
    return _together("" if country == _NO_COUNTRY else country, "", zones, account_zone, own_zone, of_rows)


@lru_cache(maxsize=16_384)
def _together(
    country: str, region: str, by_number: tuple[str, ...], account_zone: str, own_zone: str, of_rows: tuple[str, ...]
) -> Place:
    said = {CONTACT: (own_zone,), LIST: of_rows, NUMBER: by_number}
    found: dict[str, list[str]] = {}
    for source, names in said.items():
        if zones := [zone for name in names if name and (zone := time_zones.find(name))]:
            found[source] = zones
    if not found:
        found[ACCOUNT] = [time_zones.canonical(account_zone)]
    together = tuple(dict.fromkeys(zone for zones in found.values() for zone in zones))
    return Place(together, country, region, tuple(found))


def validate_zone(name: str) -> str:
    """Return the preferred name of a zone that somebody wrote. Raises ValidationError for what is not one.

    Short names such as IST are those of several zones, and EST is a place without summer time.
    """
    zone = time_zones.find(name) if "/" in name or name.strip().upper() in {"UTC", "GMT"} else None
    if zone is None:
        raise ValidationError(f"{name[:40]} is not a time zone; use a name such as Asia/Kolkata or Europe/London")
    return zone


def _of_number(number: str) -> tuple[str, str, tuple[str, ...]]:
    """Return country, region and zones of a number, looked up by as many of its digits as they depend on."""
    digits = number.removeprefix("+")
    if digits[0] == "1":
        # By area code, also for mobiles: on islands of the Caribbean it is the country.
        return *_north_american(digits[:4]), _zones(_longest_prefix(digits))
    code = _country_code(digits[:_CODE_DIGITS])
    country, zones = _whole_country(code)
    country = country or _shared(number)
    return ("" if country == _NO_COUNTRY else country), "", zones if len(zones) < 2 else _by_parsing(number)


def starts_of(countries: Collection[str]) -> set[str]:
    """Return how all numbers begin whose place is in these countries, as `+44`; an empty text where that says nothing.

    Numbers of other countries may begin so, too.
    """
    codes = {phonenumbers.country_code_for_region(country) for country in countries}
    return {f"+{code}" for code in codes} if codes and all(codes) else {""}


@lru_cache(maxsize=1024)
def _country_code(start: str) -> str:
    return next((start[:length] for length in (1, 2, 3) if int(start[:length]) in _REGIONS), "")


@lru_cache(maxsize=256)
def _whole_country(code: str) -> tuple[str, tuple[str, ...]]:
    """Return the country of a code, "" where several share it, and all zones of it."""
    regions = _REGIONS.get(int(code), ()) if code else ()
    return regions[0] if len(regions) == 1 else "", _all_zones(code)


def _longest_prefix(digits: str) -> str:
    for length in range(min(len(digits), TIMEZONE_LONGEST_PREFIX), 0, -1):
        if digits[:length] in TIMEZONE_DATA:
            return digits[:length]
    return ""


@lru_cache(maxsize=4096)
def _zones(prefix: str) -> tuple[str, ...]:
    return _preferred(TIMEZONE_DATA.get(prefix, ()))


def _all_zones(code: str) -> tuple[str, ...]:
    """Return all zones of a country code; () for no country."""
    found = [zone for prefix, zones in TIMEZONE_DATA.items() if code and prefix.startswith(code) for zone in zones]
    return _preferred(found)


@lru_cache(maxsize=65_536)
def _by_parsing(number: str) -> tuple[str, ...]:
    """Return the zones of a number of a country that has several: a mobile may be in all of them."""
    try:
        return _preferred(timezone.time_zones_for_number(phonenumbers.parse(number)))
    except phonenumbers.NumberParseException:
        return ()


def _preferred(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(time_zones.canonical(name) for name in names if name != _UNKNOWN))


@lru_cache(maxsize=1024)
def _north_american(prefix: str) -> tuple[str, str]:
    """Return country and region of an area code, such as 1212."""
    if region := _area_codes().get(prefix[1:]):
        country, _, state = region.partition("-")
        return country, state
    for example in (f"+{prefix}2345678", f"+{prefix}5550123", f"+{prefix}4123456"):
        if country := _shared(example):
            return country, ""
    return "", ""


@lru_cache(maxsize=4096)
def _shared(number: str) -> str:
    """Return the country of a number whose country code several share, by the whole number."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""


@lru_cache(maxsize=1)
def _area_codes() -> dict[str, str]:
    regions = tomllib.loads(_AREA_CODES.read_text("utf-8"))
    return {code: region for region, codes in regions.items() for code in codes.split()}
