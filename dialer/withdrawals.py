"""Take calls back that wait in their carrier's queue when the gate shuts: their phones must not ring any more.

A carrier that takes more calls than it may start lets them wait, for up to a day. At the close of the hours, at a
campaign's end or pause, and where the gate for numbers has shut (the do-not-call list, the recipient's hours) they are
canceled there. That a call is to be taken back is committed before the carrier is asked, so that its end gives the
attempt back, whichever way it is told: by the reply, an event or a look-up. An attempt whose phone is known to have
rung is spent as ever.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Q, QuerySet

import accounts.carriers
from accounts.carriers import UnknownCarrier
from accounts.models import CarrierAccount, Trunk
from campaigns.models import Campaign
from contacts import zones
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, gate, holds, inbox, number_gate
from dialer.models import CallAttempt
from dialer.number_gate import Ring

log = structlog.get_logger(__name__)

# Why the gate may be shut that calls are taken back for. A trunk that rests is no reason: it has taken these.
REASONS = frozenset(
    {"ended", "past-its-end", "account-inactive", "paused", "caller-id-inactive", "outside-calling-hours"}
    | {"held", "unknown-rules", "unknown-calendar"}
)
# How soon the next sweep may be. A gate that will have shut by then counts as shut.
AHEAD = timedelta(seconds=5)
# When a carrier is asked again that has not said what became of a call.
AGAIN = timedelta(seconds=30)
# The most calls that one sweep takes back, so that it takes seconds.
MOST = 200


def withdraw(now: datetime) -> int:
    """Ask for the calls that wait where the gate is shut. Returns how many were asked for."""
    waiting = _waiting(now)
    campaigns = _campaigns(set(waiting.order_by().values_list("campaign_id", flat=True).distinct()))
    if not campaigns:
        return 0
    shut = [pk for pk, campaign in campaigns.items() if any(_is_shut(campaign, at) for at in (now, now + AHEAD))]
    must_not_ring = Q(campaign__in=shut) | Q(pk__in=_shut_numbers(waiting.exclude(campaign__in=shut), campaigns, now))
    found = waiting.filter(must_not_ring).select_related("trunk", "carrier_account")
    attempts = list(found.order_by("heard_at", "pk")[:MOST])
    if not attempts:
        return 0
    unfinished = CallAttempt.objects.filter(pk__in=[attempt.pk for attempt in attempts], status=_UP, rang_at=None)
    unfinished.update(withdrawn_at=now)
    by_place: dict[tuple[Trunk, CarrierAccount], dict[UUID, str]] = defaultdict(dict)
    for attempt in attempts:
        assert attempt.carrier_account is not None  # the database says so of every attempt that was placed
        by_place[attempt.trunk, attempt.carrier_account][attempt.pk] = attempt.carrier_ref
    for (trunk, account), queued in by_place.items():
        _ask(trunk, account, queued)
    return len(attempts)


_UP = CallAttempt.Status.IN_PROGRESS


def _waiting(now: datetime) -> "QuerySet[CallAttempt]":
    """Return the attempts whose calls may wait at their carrier, as far as is known."""
    queueing = [kind.name for kind in accounts.carriers.all_kinds() if kind.queues_calls]
    unasked = Q(withdrawn_at=None) | Q(withdrawn_at__lt=now - AGAIN)
    up = CallAttempt.objects.filter(unasked, status=_UP, rang_at=None, answered_at=None)
    return up.filter(carrier_account__carrier__in=queueing).exclude(carrier_ref="")


def _campaigns(campaign_ids: set[UUID]) -> dict[UUID, Campaign]:
    loaded = Campaign.objects.select_related("account", "caller_id__trunk__health", "caller_id__health")
    campaigns = loaded.in_bulk(campaign_ids)
    holds.load_into(campaign.account for campaign in campaigns.values())
    return campaigns


def _shut_numbers(waiting: "QuerySet[CallAttempt]", campaigns: Mapping[UUID, Campaign], now: datetime) -> list[UUID]:
    """Return the attempts of open campaigns whose numbers must not be rung any more. No more of them than channels."""
    rows = waiting.order_by().values_list(
        "pk", "campaign_id", "callee", f"call__variables__{zones.COLUMN}", "call__rule"
    )
    rings = [
        # What waits at its carrier came before any leg that looks for it.
        Ring(pk, campaigns[campaign_id], number, row_zone or "", rule, may_be_connected=False)
        for pk, campaign_id, number, row_zone, rule in rows
        if campaign_id in campaigns
    ]
    return list(number_gate.check(rings, now, until=now + AHEAD))


def _is_shut(campaign: Campaign, at: datetime) -> bool:
    verdict = gate.check(campaign, at)
    return not isinstance(verdict, gate.Open) and verdict.code in REASONS


def _ask(trunk: Trunk, account: CarrierAccount, queued: dict[UUID, str]) -> None:
    try:
        events = carrier_accounts.carrier_of(account, trunk).withdraw(queued)
    except (UnreadableSecret, UnknownCarrier) as error:
        log.warning("carrier_not_asked", trunk=trunk.name, error=str(error))
        return
    log.info("calls_withdrawn", trunk=trunk.name, calls=len(queued), told=len(events))
    inbox.append(account.carrier, events)
