"""Take calls back that wait in their carrier's queue when the gate shuts: their phones must not ring any more.

A carrier that takes more calls than it may start lets them wait, for up to a day. At the close of the hours, at a
campaign's end or pause they are canceled there. That a call is to be taken back is committed before the carrier is
asked, so that its end gives the attempt back, whichever way it is told: by the reply, an event or a look-up. An attempt
whose phone is known to have rung is spent as ever.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Q, QuerySet

import accounts.carriers
from accounts.carriers import UnknownCarrier
from accounts.models import CarrierAccount, Trunk
from campaigns.models import Campaign
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, gate, inbox
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# Why the gate may be shut that calls are taken back for. A trunk that rests is no reason: it has taken these.
REASONS = frozenset(
    {"ended", "past-its-end", "account-inactive", "paused", "caller-id-inactive", "outside-calling-hours"}
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
    shut = _shut(set(waiting.order_by().values_list("campaign_id", flat=True).distinct()), now)
    if not shut:
        return 0
    attempts = list(
        waiting.filter(campaign__in=shut).select_related("trunk", "carrier_account").order_by("heard_at", "pk")[:MOST]
    )
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


def _shut(campaign_ids: set[UUID], now: datetime) -> list[UUID]:
    loaded = Campaign.objects.select_related("account", "caller_id__trunk__health", "caller_id__health")
    campaigns = loaded.filter(pk__in=campaign_ids)
    return [campaign.pk for campaign in campaigns if any(_is_shut(campaign, at) for at in (now, now + AHEAD))]


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
