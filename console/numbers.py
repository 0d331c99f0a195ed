"""Find a number in any spelling: whom we called there, when, why, and what they pressed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Account
from campaigns.models import Call, Campaign
from console import number_reasons, zones
from console.number_reasons import Reason
from console.stops import Accounts, of_accounts
from contacts.do_not_call import Listing
from contacts.models import Contact, DoNotCall, ListEntry
from contacts.numbers import to_e164
from dialer.models import CallAttempt, Recording, Transfer

# Calls to one number that are shown, the newest first, and as many that flows have made to it.
MOST_CALLS = 200
# Numbers that one text may mean, in the countries of as many accounts.
MOST_READINGS = 10
# Where nothing says the country, numbers need its code.
NO_REGION = "ZZ"


Ring = CallAttempt | Transfer


@dataclass(frozen=True)
class Found:
    """What is known of a number.

    Attributes:
        attempts: of these calls, the newest first, with their recordings.
        legs: calls that flows of other people's calls have made to it, as to a person, the newest first.
        has_more: whether there are older calls or legs that are not shown.
        lists: names of lists that it is in, with their account.
        listings: the accounts ("" for all) on whose do-not-call list it is, and why.
        callers: the accounts that may say "never again": those that rang it, or all where none did.
        reasons: why each campaign calls it, the newest first.
    """

    number: str
    calls: list[Call]
    attempts: list[CallAttempt]
    legs: list[Transfer]
    lists: list[tuple[str, str]]
    listings: list[tuple[str, str]]
    callers: list[Account]
    has_more: bool = False
    reasons: list[Reason] = field(default_factory=list)

    @property
    def campaigns(self) -> list[Campaign]:
        """Return the campaigns that called it or will, and those whose flows did, each once."""
        return list(dict.fromkeys([*campaigns_of(self.calls), *connecting(self.legs)]))

    @property
    def rings(self) -> list[Ring]:
        """Return the attempts and legs for which the carrier was asked, the newest first."""
        rung: list[Ring] = [attempt for attempt in self.attempts if attempt.placing_at]
        return sorted([*rung, *self.legs], key=placing_at, reverse=True) if self.legs else rung

    @property
    def last(self) -> Ring | None:
        return self.rings[0] if self.rings else None

    def rings_on(self, now: datetime, days_ago: int) -> int:
        """Return the calls of a day, by the clock of the account of each."""
        return sum(_is_on(ring, now, days_ago) for ring in self.rings)


def campaign_of(ring: Ring) -> Campaign:
    """Return the campaign that rang the number, or whose flow did."""
    return ring.campaign if isinstance(ring, CallAttempt) else ring.attempt.campaign


def placing_at(ring: Ring) -> datetime:
    """Return when the carrier was asked."""
    assert ring.placing_at is not None
    return ring.placing_at


def connecting(legs: Sequence[Transfer]) -> list[Campaign]:
    """Return the campaigns whose flows made these legs, each once."""
    return list({leg.attempt.campaign_id: leg.attempt.campaign for leg in legs}.values())


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
    found = list(_legs_to(number, accounts))
    legs = found[:MOST_CALLS]
    called = [*campaigns_of(shown), *connecting(legs)]
    callers = {campaign.account_id: campaign.account for campaign in called}
    anybody = of_accounts(Account.objects.order_by("sid"), accounts, "pk")
    candidates = list(callers.values()) or list(anybody[:MOST_CALLS])
    entries = _entries(number, candidates)
    return Found(
        number,
        shown,
        list(attempts.prefetch_related("recordings").order_by("-claimed_at", "-pk")),
        legs,
        list(dict.fromkeys((name, sid) for _, name, sid in entries)),
        _listings(number, accounts),
        candidates,
        max(len(read), len(found)) > MOST_CALLS,
        number_reasons.of(campaigns_of(shown), connecting(legs), {key: name for key, name, _ in entries}),
    )


def _legs_to(number: str, accounts: Accounts) -> "QuerySet[Transfer]":
    """Return the latest legs that may have rung the number, one more than are shown.

    Not those to agents: their phones ring for their own company's callees all day long. The index of legs to people
    begins with the account, so the accounts are named also where all may be seen.
    """
    own = of_accounts(Account.objects.all(), accounts, "pk")
    legs = Transfer.objects.filter(account__in=own.values("pk"), number=number, to_person=True)
    legs = legs.filter(placing_at__isnull=False, attempt__campaign__is_purging=False)
    loaded = legs.select_related("attempt__campaign__account")
    return loaded.order_by("-placing_at", "-pk")[: MOST_CALLS + 1]


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


def _is_on(ring: Ring, now: datetime, days_ago: int) -> bool:
    zone = campaign_of(ring).account.zone
    day = now.astimezone(zone).date() - timedelta(days=days_ago)
    return placing_at(ring).astimezone(zone).date() == day
