"""The do-not-call lists as their page shows them: the newest, or what a number or the beginning of numbers finds."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import islice

import phonenumbers
from django.db.models import Q, QuerySet

from accounts.models import Account
from console import numbers
from console.stops import Accounts, of_accounts
from contacts.models import CsvUpload, DoNotCall

# Entries of a page, and uploads beside them.
MOST_SHOWN, MOST_UPLOADS = 100, 5
# Digits that a beginning needs: fewer say nothing.
FEWEST_DIGITS = 3


@dataclass(frozen=True)
class Shown:
    """Entries of a page, and whether there are more."""

    entries: list[DoNotCall]
    has_more: bool


def newest(accounts: Accounts, before: int | None = None) -> Shown:
    """Return the entries of these accounts, the newest first; of all accounts also those that hold for everybody.

    Args:
        before: the key of an entry, to go on behind it.
    """
    entries = of_accounts(DoNotCall.objects.all(), accounts, "account").select_related("account").order_by("-pk")
    return _cut(entries.filter(pk__lt=before) if before else entries)


def find(text: str, accounts: Accounts, *, is_over_the_server: bool) -> Shown:
    """Return the entries whose number the text is, in any spelling; otherwise those whose number it begins.

    An entry for all accounts is everybody's to look up. What a registry has, number by number, is not.
    """
    entries = DoNotCall.objects.select_related("account")
    own = entries.filter(Q(account__isnull=False) if accounts is None else Q(account__in=accounts))
    of_all = entries.filter(account=None)
    if exact := numbers.readings(text, accounts):
        found = [*own.filter(number__in=exact).order_by("number", "pk")[: MOST_SHOWN + 1]]
        return _cut([*found, *of_all.filter(number__in=exact)])
    parts = [
        rows.filter(_begins_with(beginning)).order_by("number", "pk")[: MOST_SHOWN + 1]
        for beginning in beginnings(text, accounts)
        for rows in ((own, of_all) if is_over_the_server else (own,))
    ]
    return _cut(merge(*parts, key=lambda entry: (entry.number, entry.pk)))


def beginnings(text: str, accounts: Accounts) -> list[str]:
    """Return what numbers in E.164 may begin with that people begin like this, in the countries of the accounts."""
    plain = unicodedata.normalize("NFKC", text).strip()
    digits = "".join(character for character in plain if character.isdecimal())
    if len(digits.lstrip("0")) < FEWEST_DIGITS:
        return []
    if plain.startswith(("+", "00")):
        found = [digits.removeprefix("00") if plain.startswith("00") else digits]
    else:
        found = [digits, *(_national(digits, region) for region in numbers.regions_of(accounts))]
    known = [f"+{int(beginning)}" for beginning in found if beginning[:1] not in {"", "0"}]
    return list(dict.fromkeys(known))


def uploads(accounts: Accounts) -> list[CsvUpload]:
    """Return the last files that were sent for the do-not-call lists of these accounts."""
    sent = of_accounts(CsvUpload.objects.filter(contact_list=None), accounts, "account").select_related("account")
    return list(sent.order_by("-created_at", "-pk")[:MOST_UPLOADS])


def region_for(account: Account | None) -> str:
    """Return the region of national numbers: where a number holds for accounts of several regions, none."""
    if account:
        return account.region
    regions = numbers.regions_of(None)
    return regions[0] if len(regions) == 1 else numbers.NO_REGION


def _national(digits: str, region: str) -> str:
    prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or ""
    return f"{phonenumbers.country_code_for_region(region)}{digits.removeprefix(prefix) if prefix else digits}"


def _begins_with(beginning: str) -> Q:
    """Return the condition, with a range that an index serves: an index is of no use for LIKE in most collations."""
    following = f"+{int(beginning[1:]) + 1}"
    condition = Q(number__startswith=beginning, number__gte=beginning)
    return condition & Q(number__lt=following) if len(following) == len(beginning) else condition


def _cut(entries: "QuerySet[DoNotCall] | Iterable[DoNotCall]") -> Shown:
    rows = entries[: MOST_SHOWN + 1] if isinstance(entries, QuerySet) else islice(entries, MOST_SHOWN + 1)
    shown = list(rows)
    return Shown(shown[:MOST_SHOWN], len(shown) > MOST_SHOWN)
