"""Stop calling: pause every running campaign of some accounts at once, and later resume exactly those.

Calls that are up finish. A campaign that starts later is not stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import F, Model, OuterRef, QuerySet, Subquery

from accounts import audit
from accounts.audit import Actor
from campaigns import lifecycle
from campaigns.models import Campaign, CampaignHistory
from console.models import CallingStop, StoppedCampaign
from dialer import hang_ups
from dialer.models import CallAttempt

_Row = TypeVar("_Row", bound=Model)

# The accounts that somebody acts on; None: all.
Accounts = set[int] | None

# Campaigns of one transaction: each is a lock, of which PostgreSQL has some thousands for all transactions together.
BATCH = 500
# How long a stop is offered for being resumed.
OFFERED = timedelta(days=7)


@dataclass(frozen=True)
class Stopped:
    """What a stop or a resume did.

    Attributes:
        refusals: why not to the others, a sentence for each.
        hung_up: calls that were up, and whose carriers were asked to end them.
        go_on: calls that were up, and whose carriers end none, by what those are called.
    """

    stop: CallingStop | None
    done: int
    refusals: list[str]
    hung_up: int = 0
    go_on: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Consequence:
    """What "Stop calling" would do now.

    Attributes:
        go_on: how many of the calls up no hang-up ends, by what their carriers are called.
    """

    campaigns: int
    accounts: int
    calls_up: int
    go_on: Mapping[str, int] = field(default_factory=dict)

    @property
    def said_of_going_on(self) -> str:
        return said_of(self.go_on)


def said_of(go_on: Mapping[str, int]) -> str:
    """Return a sentence about calls that no hang-up ends; "" where there are none."""
    if not go_on:
        return ""
    over = ", ".join(f"{calls:,} over {label}" for label, calls in go_on.items())
    return f"No hang-up ends these calls, and they go on: {over}."


def consequence(accounts: Accounts) -> Consequence:
    running = _running(accounts)
    up = of_accounts(CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED), accounts, "account")
    accounts_running = running.values("account").distinct().count()
    return Consequence(running.count(), accounts_running, up.count(), hang_ups.that_go_on(up))


def stop(accounts: Accounts, *, actor: Actor, now: datetime, hang_up: bool = False) -> Stopped:
    """Pause the running campaigns of the accounts, and remember which.

    A process that dies in the middle leaves a stop of those that it has paused.

    Args:
        hang_up: whether the calls that are up are ended, too. Waits for the carriers.
    """
    made: CallingStop | None = None
    paused: list[Campaign] = []
    refusals = []
    for batch in _batches(list(_running(accounts).only("pk").order_by("pk"))):
        with transaction.atomic():
            outcome = lifecycle.pause.apply(batch, actor=actor, now=now)
            refusals += [f"{campaign.name}: {refusal}" for campaign, refusal in outcome.refusals]
            if outcome.done:
                made = made or CallingStop.objects.create(at=now, by=str(actor)[:255])
                rows = [StoppedCampaign(stop=made, campaign=campaign) for campaign in outcome.done]
                StoppedCampaign.objects.bulk_create(rows)
        paused += outcome.done
    return Stopped(made, len(paused), refusals, *(_hang_up(accounts, actor) if hang_up else ()))


def _hang_up(accounts: Accounts, actor: Actor) -> tuple[int, Mapping[str, int]]:
    """End the calls that are up, but for those of campaigns that run: they have started since.

    Returns:
        How many carriers were asked for, and how many go on as their carriers end none.
    """
    up = of_accounts(CallAttempt.objects.filter(status=CallAttempt.Status.IN_PROGRESS), accounts, "account")
    up = up.exclude(campaign__status=Campaign.Status.IN_PROGRESS)
    campaigns = Campaign.objects.filter(pk__in=up.values("campaign")).select_related("account").in_bulk()
    asked = hang_ups.hang_up(campaigns.keys())
    told = ((campaigns[key], f"hang up: {calls:,} calls that were up") for key, calls in asked.items())
    audit.record_each(actor, audit.Verb.RAN, told)
    return sum(asked.values()), hang_ups.that_go_on(up)


def resume(stop: CallingStop, accounts: Accounts, *, actor: Actor, now: datetime) -> Stopped:
    """Resume those campaigns of the stop that nobody has touched since, as far as they belong to the accounts."""
    done, refusals = 0, []
    for batch in _batches(list(still_stopped(accounts).filter(stop=stop).order_by("campaign_id"))):
        outcome = lifecycle.resume.apply([row.campaign for row in batch], actor=actor, now=now)
        refusals += [f"{campaign.name}: {refusal}" for campaign, refusal in outcome.refusals]
        done += len(outcome.done)
    return Stopped(stop, done, refusals)


def offered(accounts: Accounts, now: datetime) -> list[tuple[CallingStop, int]]:
    """Return the stops of the last week that can be resumed, newest first, with how many campaigns each would."""
    rows = still_stopped(accounts).filter(stop__at__gt=now - OFFERED).values_list("stop", flat=True)
    counted: dict[int, int] = {}
    for pk in rows:
        counted[pk] = counted.get(pk, 0) + 1
    return [(stop, counted[stop.pk]) for stop in CallingStop.objects.filter(pk__in=counted).order_by("-at", "-pk")]


def still_stopped(accounts: Accounts) -> QuerySet[StoppedCampaign]:
    """Return the rows whose campaign is paused since its stop: a person who resumed or paused it later has decided."""
    moves = CampaignHistory.objects.filter(subject=OuterRef("campaign")).order_by("-id")
    rows = stopped(accounts).filter(campaign__status=Campaign.Status.PAUSED).select_related("campaign")
    return rows.annotate(moved_at=Subquery(moves.values("at")[:1])).filter(moved_at=F("stop__at"))


def stopped(accounts: Accounts) -> QuerySet[StoppedCampaign]:
    """Return the rows of the accounts, whatever has become of their campaigns."""
    return of_accounts(StoppedCampaign.objects.all(), accounts, "campaign__account")


def of_accounts(rows: "QuerySet[_Row]", accounts: Accounts, path: str) -> "QuerySet[_Row]":
    """Return those of the rows that belong to the accounts."""
    return rows if accounts is None else rows.filter(**{f"{path}__in": accounts})


def _running(accounts: Accounts) -> QuerySet[Campaign]:
    return of_accounts(Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS), accounts, "account")


def _batches(rows: "Sequence[_Row]") -> "Iterator[Sequence[_Row]]":
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
