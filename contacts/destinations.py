"""Where an account calls: the countries and the kinds of numbers that its operator allows.

A wrong column or a stolen key must not ring premium-rate numbers or another continent at the operator's expense. Asked
where numbers come in, in requests and CSV rows, and again before each call, as the settings may have changed since.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import phonenumbers
from django.db import connection
from phonenumbers import PhoneNumberType

from accounts.models import Account, NumberKind
from contacts import e164_patterns
from contacts.numbers import InvalidNumber

# The kinds that a number of each of phonenumbers' types may be of.
_KINDS: dict[int, tuple[NumberKind, ...]] = {
    PhoneNumberType.FIXED_LINE: (NumberKind.LANDLINE,),
    PhoneNumberType.MOBILE: (NumberKind.MOBILE,),
    PhoneNumberType.FIXED_LINE_OR_MOBILE: (NumberKind.LANDLINE, NumberKind.MOBILE),
    PhoneNumberType.VOIP: (NumberKind.VOIP,),
    PhoneNumberType.TOLL_FREE: (NumberKind.TOLL_FREE,),
    PhoneNumberType.SHARED_COST: (NumberKind.SHARED_COST,),
    PhoneNumberType.PREMIUM_RATE: (NumberKind.PREMIUM_RATE,),
    PhoneNumberType.PERSONAL_NUMBER: (NumberKind.PERSONAL,),
    PhoneNumberType.PAGER: (NumberKind.PAGER,),
    PhoneNumberType.UAN: (NumberKind.UAN,),
    PhoneNumberType.VOICEMAIL: (NumberKind.VOICEMAIL,),
}
# Satellite phones and international services, whose numbers belong to no country.
_NO_COUNTRY = "001"


class NotCalled(InvalidNumber):
    """The number is valid, and this account does not call it; `reason` says why, `position` which of several it is."""

    def __str__(self) -> str:
        return f"{self.number} can't be called: {self.reason}"


@dataclass(frozen=True)
class Destinations:
    """What an account may call: two-letter countries, and kinds of numbers."""

    countries: frozenset[str]
    kinds: frozenset[str]

    @property
    def surely_called(self) -> e164_patterns.Pattern:
        """Matches numbers in E.164, valid, and called, as they stand. One that it does not match may be called, too."""
        return _surely_called(self.countries, self.kinds)

    @property
    def with_companies(self) -> "Destinations":
        """Return the same with the lines of companies, nobody's own phone: toll-free and company-wide ones."""
        return replace(self, kinds=self.kinds | {NumberKind.TOLL_FREE, NumberKind.UAN})

    def surely_calls(self, text: str) -> bool:
        """Tell whether a text is a number in E.164 as it stands, valid, and called; False decides nothing."""
        return self.surely_called.match(text) is not None

    def why_not(self, number: str) -> str:
        """Return why the number, valid and in E.164, is not called; "" where it is.

        Takes a microsecond for most numbers that are called, and a tenth of a millisecond for others.
        """
        if self.surely_calls(number):
            return ""
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            return "its country is not known"
        country = phonenumbers.region_code_for_number(parsed)
        if country in {None, _NO_COUNTRY}:
            what = "is of no country" if country is None else "belongs to a satellite phone or an international service"
            return f"it {what} (+{parsed.country_code})"
        if country not in self.countries:
            return f"it is a number of {country}, and this account calls {_listed(sorted(self.countries))} only"
        kinds = _KINDS.get(phonenumbers.number_type(parsed), ())
        if self.kinds.isdisjoint(kinds):
            return f"it is {_a_number(kinds)}, and this account calls {_listed(_named(self.kinds))} numbers only"
        return ""

    def require(self, number: str) -> None:
        """Raise NotCalled unless the account calls this number."""
        if why_not := self.why_not(number):
            raise NotCalled(number, why_not)


def of_account(account: Account) -> Destinations:
    """Return where the account calls. One query, where no countries are given."""
    if account.allowed_countries:
        return of(account, ())
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM accounts_callerid WHERE account_id = %s", [account.pk])
        return of(account, [number for (number,) in cursor.fetchall()])


def of(account: Account, caller_ids: Iterable[str]) -> Destinations:
    """Return where the account calls, as far as these of its caller IDs say. Makes no query.

    Without countries of its own an account calls those that it is at home in: its region and its caller IDs'.
    """
    countries = account.allowed_countries or {account.region, *map(_country_of, caller_ids)} - {""}
    return Destinations(frozenset(countries), frozenset(account.allowed_kinds))


@lru_cache(maxsize=4096)
def _country_of(number: str) -> str:
    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return ""  # a caller ID that is no telephone number
    return country if country and country != _NO_COUNTRY else ""


@lru_cache(maxsize=256)
def _surely_called(countries: frozenset[str], kinds: frozenset[str]) -> e164_patterns.Pattern:
    """Return a pattern of numbers that are called. What does not fit it has to be parsed."""
    allowed = {kind for kind in NumberKind if kind in kinds}
    patterns = (e164_patterns.of_kinds(country, allowed, set(NumberKind) - allowed) for country in sorted(countries))
    nothing = "(?!)"
    return re.compile("|".join(f"(?:{pattern.pattern})" for pattern in patterns if pattern) or nothing, re.ASCII)


def _a_number(kinds: Iterable[NumberKind]) -> str:
    names = " or ".join(_named(kinds))
    return f"a {names} number" if names else "no number of a known kind"


def _named(kinds: Iterable[str]) -> list[str]:
    return [str(kind.label) for kind in NumberKind if kind in set(kinds)]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) or "nobody's"
