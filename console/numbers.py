"""Find a number in any spelling: whom we called there, when, why, and what they pressed."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q

from accounts.models import Account
from campaigns.models import Call, Campaign
from console.stops import Accounts, of_accounts
from contacts.do_not_call import Listing
from contacts.models import Contact, DoNotCall, ListEntry
from contacts.numbers import to_e164
from dialer.models import CallAttempt

# Calls to one number that are shown, the newest first.
MOST_CALLS = 200
# Numbers that one text may mean, in the countries of as many accounts.
MOST_READINGS = 10
# Where nothing says the country, numbers need its code.
NO_REGION = "ZZ"


@dataclass(frozen=True)
class Found:
    """What is known of a number.

    Attributes:
        attempts: of these calls, the newest first.
        lists: names of lists that it is in, with their account.
        listings: the accounts ("" for all) on whose do-not-call list it is, and why.
        callers: the accounts that may say "never again": those that called it, or all where none did.
    """

    number: str
    calls: list[Call]
    attempts: list[CallAttempt]
    lists: list[tuple[str, str]]
    listings: list[tuple[str, str]]
    callers: list[Account]

    @property
    def campaigns(self) -> list[Campaign]:
        """Return the campaigns that called it or will, each once."""
        return list({call.campaign_id: call.campaign for call in self.calls}.values())

    @property
    def rings(self) -> list[CallAttempt]:
        """Return the attempts for which the carrier was asked."""
        return [attempt for attempt in self.attempts if attempt.placing_at]

    @property
    def last(self) -> CallAttempt | None:
        return self.rings[0] if self.rings else None


def regions_of(accounts: Accounts) -> list[str]:
    """Return the countries of the accounts, at most MOST_READINGS."""
    own = of_accounts(Account.objects.exclude(region=""), accounts, "pk")
    return list(own.order_by("region").values_list("region", flat=True).distinct()[:MOST_READINGS])


def readings(text: str, accounts: Accounts) -> list[str]:
    """Return the numbers in E.164 that the text may mean, by the countries of the person's accounts."""
    spelled = [text, f"+{text.strip().removeprefix('00')}"]
    regions = regions_of(accounts) or [NO_REGION]
    found = [to_e164(spelling, region) for region in regions for spelling in spelled]
    return list(dict.fromkeys(number for number in found if number))[:MOST_READINGS]


def find(number: str, accounts: Accounts) -> Found:
    """Find one number, in E.164."""
    calls = of_accounts(Call.objects.filter(number=number), accounts, "campaign__account")
    shown = list(calls.select_related("campaign__account", "campaign__caller_id").order_by("-pk")[:MOST_CALLS])
    attempts = CallAttempt.objects.filter(call__in=[call.pk for call in shown]).select_related("campaign__account")
    callers = {call.campaign.account_id: call.campaign.account for call in shown}
    anybody = of_accounts(Account.objects.order_by("sid"), accounts, "pk")
    candidates = list(callers.values()) or list(anybody[:MOST_CALLS])
    return Found(
        number,
        shown,
        list(attempts.order_by("-claimed_at", "-pk")),
        _lists(number, candidates),
        _listings(number, accounts),
        candidates,
    )


def _lists(number: str, accounts: Sequence[Account]) -> list[tuple[str, str]]:
    contacts = Contact.objects.filter(account__in=accounts, number=number).values("pk")
    entries = ListEntry.objects.filter(contact__in=contacts)
    lists = entries.values_list("contact_list__name", "contact_list__account__sid").order_by().distinct()
    return list(lists[:MOST_CALLS])


def _listings(number: str, accounts: Accounts) -> list[tuple[str, str]]:
    entries = DoNotCall.objects.filter(number=number).select_related("account")
    if accounts is not None:
        entries = entries.filter(Q(account__in=accounts) | Q(account=None))
    return [(entry.account.sid if entry.account else "", _reason(entry)) for entry in entries.order_by("pk")]


def _reason(entry: DoNotCall) -> str:
    for_all = entry.account_id is None
    return Listing(entry.source, entry.registry, entry.registry_date, entry.added_at, for_all).reason
