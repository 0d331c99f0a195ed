"""Find a number in any spelling: whom we called there, when, why, and what they pressed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q

from accounts.models import Account
from campaigns.models import Call, Campaign
from console import number_reasons, zones
from console.number_reasons import Reason
from console.stops import Accounts, of_accounts
from contacts.do_not_call import Listing
from contacts.models import Contact, DoNotCall, ListEntry
from contacts.numbers import to_e164
from dialer.models import CallAttempt, Recording

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
        attempts: of these calls, the newest first, with their recordings.
        has_more: whether there are older calls that are not shown.
        lists: names of lists that it is in, with their account.
        listings: the accounts ("" for all) on whose do-not-call list it is, and why.
        callers: the accounts that may say "never again": those that called it, or all where none did.
        reasons: why each campaign calls it, the newest first.
    """

    number: str
    calls: list[Call]
    attempts: list[CallAttempt]
    lists: list[tuple[str, str]]
    listings: list[tuple[str, str]]
    callers: list[Account]
    has_more: bool = False
    reasons: list[Reason] = field(default_factory=list)

    @property
    def campaigns(self) -> list[Campaign]:
        """Return the campaigns that called it or will, each once."""
        return campaigns_of(self.calls)

    @property
    def rings(self) -> list[CallAttempt]:
        """Return the attempts for which the carrier was asked."""
        return [attempt for attempt in self.attempts if attempt.placing_at]

    @property
    def last(self) -> CallAttempt | None:
        return self.rings[0] if self.rings else None

    def rings_on(self, now: datetime, days_ago: int) -> int:
        """Return the calls of a day, by the clock of the account of each."""
        return sum(_is_on(attempt, now, days_ago) for attempt in self.rings)


def campaigns_of(calls: Sequence[Call]) -> list[Campaign]:
    """Return the campaigns of the calls, each once."""
    return list({call.campaign_id: call.campaign for call in calls}.values())


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
    calls = of_accounts(Call.objects.filter(number=number, campaign__is_purging=False), accounts, "campaign__account")
    read = list(calls.select_related("campaign__account", "campaign__caller_id").order_by("-pk")[: MOST_CALLS + 1])
    shown = read[:MOST_CALLS]
    attempts = CallAttempt.objects.filter(call__in=[call.pk for call in shown]).select_related("campaign__account")
    callers = {call.campaign.account_id: call.campaign.account for call in shown}
    anybody = of_accounts(Account.objects.order_by("sid"), accounts, "pk")
    candidates = list(callers.values()) or list(anybody[:MOST_CALLS])
    entries = _entries(number, candidates)
    return Found(
        number,
        shown,
        list(attempts.prefetch_related("recordings").order_by("-claimed_at", "-pk")),
        list(dict.fromkeys((name, sid) for _, name, sid in entries)),
        _listings(number, accounts),
        candidates,
        len(read) > MOST_CALLS,
        number_reasons.of(campaigns_of(shown), {key: name for key, name, _ in entries}),
    )


def recording(key: UUID, accounts: Accounts) -> Recording | None:
    """Return a recording of ours that the person may hear, while its file is kept."""
    kept = Recording.objects.select_related("attempt__campaign__account").exclude(file="")
    kept = kept.filter(pk=key, attempt__campaign__is_purging=False)
    return of_accounts(kept, accounts, "attempt__account").first()


def _entries(number: str, accounts: Sequence[Account]) -> list[tuple[UUID, str, str]]:
    """Return the lists of these accounts that have the number: key, name, account."""
    contacts = Contact.objects.filter(account__in=accounts, number=number).values("pk")
    entries = ListEntry.objects.filter(contact__in=contacts)
    lists = entries.values_list("contact_list", "contact_list__name", "contact_list__account__sid")
    return list(lists.order_by("contact_list__name", "contact_list").distinct()[:MOST_CALLS])


def _listings(number: str, accounts: Accounts) -> list[tuple[str, str]]:
    entries = DoNotCall.objects.filter(number=number).select_related("account")
    if accounts is not None:
        entries = entries.filter(Q(account__in=accounts) | Q(account=None))
    return [(entry.account.sid if entry.account else "", _reason(entry)) for entry in entries.order_by("pk")]


def _reason(entry: DoNotCall) -> str:
    listing = Listing(entry.source, entry.registry, entry.registry_date, entry.added_at, for_all=entry.account is None)
    since = zones.wall(entry.added_at, entry.account.zone if entry.account else UTC)
    return f"{listing.reason}, {since}{f', by {entry.added_by}' if entry.added_by else ''}"


def _is_on(attempt: CallAttempt, now: datetime, days_ago: int) -> bool:
    zone = attempt.campaign.account.zone
    day = now.astimezone(zone).date() - timedelta(days=days_ago)
    return attempt.placing_at is not None and attempt.placing_at.astimezone(zone).date() == day
