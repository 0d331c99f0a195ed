"""Repairs what crashes, lost messages and silent carriers leave behind, every few seconds. Safe to run twice at once.

An attempt that was never offered to a carrier is offered again. One that may have rung is never dialled again before
the carrier has been asked; where it can't tell, the attempt is parked, and given up (spent) when the longest possible
call has passed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import Q

from accounts.models import Trunk
from campaigns.models import Outcome
from campaigns.state_machine import Move
from dialer import attempt_states, channels, doorbells, outcomes
from dialer.carriers import carrier_of
from dialer.carriers.base import CantTell, Event, NoSuchCall, Placed
from dialer.models import CallAttempt
from dialer.outcomes import Ended

log = structlog.get_logger(__name__)

S = CallAttempt.Status

# A dial message is answered within milliseconds; after so long it is taken for lost.
CLAIMED_TOO_LONG = timedelta(seconds=10)
# Beyond the carrier's own time-out, for storing its answer.
SPARE = timedelta(seconds=5)
# A carrier's list of calls may lag behind its calls: "no such call" is believed so long after the dial.
BELIEVED_AFTER = timedelta(seconds=30)
# Asked for in one sweep at the most, so that a sweep takes seconds; the longest unheard of come first.
MOST_LOOK_UPS = 200


@dataclass
class Repairs:
    """What one sweep mended, in attempts; leaked is leases."""

    dialled_again: int = 0
    adopted: int = 0
    ended: int = 0
    given_back: int = 0
    given_up: int = 0
    parked: int = 0
    leaked: int = 0
    missing: int = 0


def recover(now: datetime) -> Repairs:
    """One sweep; answers what it mended."""
    repairs = Repairs()
    _ring_again(repairs, now)
    for trunk, attempts in _to_look_up(now).items():
        _look_up(trunk, attempts, repairs, now)
    leases = channels.restore()
    repairs.leaked, repairs.missing = leases.leaked, leases.missing
    mended = {name: count for name, count in asdict(repairs).items() if count}
    if mended:
        log.warning("recovered", **mended)
    return repairs


def longest_call() -> timedelta:
    """From the dial to the end of the longest possible call, and some spare."""
    return timedelta(seconds=settings.RING_TIMEOUT_SECONDS + settings.MAX_CALL_SECONDS) + 6 * SPARE


def _ring_again(repairs: Repairs, now: datetime) -> None:
    claimed = CallAttempt.objects.filter(status=S.CLAIMED, claimed_at__lt=now - CLAIMED_TOO_LONG)
    lost = dict(claimed.order_by("claimed_at").values_list("id", "call__number")[:1000])
    doorbells.ring_dial(lost)
    repairs.dialled_again = len(lost)


def _to_look_up(now: datetime) -> dict[Trunk, list[CallAttempt]]:
    unanswered = now - timedelta(seconds=settings.CARRIER_TIMEOUT_SECONDS) - SPARE
    unheard = now - timedelta(seconds=settings.CARRIER_POLL_AFTER_SECONDS)
    doubtful = (
        Q(status=S.UNKNOWN)
        | Q(status=S.PLACING, placing_at__lt=unanswered)
        | Q(status=S.IN_PROGRESS, heard_at__lt=unheard)
    )
    attempts = CallAttempt.objects.filter(doubtful).select_related("call", "trunk", "campaign__caller_id")
    by_trunk: dict[Trunk, list[CallAttempt]] = defaultdict(list)
    for attempt in attempts.order_by("heard_at", "id")[:MOST_LOOK_UPS]:
        by_trunk[attempt.trunk].append(attempt)
    return by_trunk


def _look_up(trunk: Trunk, attempts: Sequence[CallAttempt], repairs: Repairs, now: datetime) -> None:
    found = carrier_of(trunk).look_up([_placed(attempt) for attempt in attempts])
    adopted: set[str] = set()
    overdue: list[str] = []
    for attempt in attempts:
        look_up = found[attempt.pk]
        if isinstance(look_up, Event):
            if look_up.carrier_ref and look_up.carrier_ref in adopted:
                continue  # two attempts at one number, one call found: the other is looked for in the next sweep
            adopted.add(look_up.carrier_ref)
            _adopt(attempt, look_up, repairs, now)
            if look_up.status == S.IN_PROGRESS and _is_over_time(attempt, now):
                overdue.append(look_up.carrier_ref)
        else:
            _settle_without(attempt, look_up, repairs, now)
    if overdue:
        log.warning("calls_over_time", trunk=trunk.name, calls=len(overdue))
        carrier_of(trunk).hang_up(overdue)


def _adopt(attempt: CallAttempt, event: Event, repairs: Repairs, now: datetime) -> None:
    """The carrier knows the call: it goes on, or has ended while nobody told us."""
    if event.status != S.IN_PROGRESS:
        repairs.ended += outcomes.settle([(attempt.pk, event)], now)
        return
    columns = {"carrier_ref": event.carrier_ref, "heard_at": now}
    move = Move(attempt.pk, S.IN_PROGRESS, "found at the carrier", columns)
    repairs.adopted += len(attempt_states.move([move], at=now))
    CallAttempt.objects.filter(pk=attempt.pk, status=S.IN_PROGRESS).update(heard_at=now)


def _settle_without(attempt: CallAttempt, look_up: NoSuchCall | CantTell, repairs: Repairs, now: datetime) -> None:
    """The carrier knows no such call, or can't tell."""
    assert attempt.placing_at is not None
    since = now - attempt.placing_at
    if isinstance(look_up, NoSuchCall) and since >= BELIEVED_AFTER:
        if attempt.status == S.IN_PROGRESS:
            # It took the call and has forgotten it. A phone may have rung, so the attempt is spent.
            end = Ended(attempt.pk, Outcome.FAILED, reason="the carrier no longer knows the call")
            repairs.ended += outcomes.end([end], now)
        else:
            end = Ended(attempt.pk, Outcome.CANCELED, reason="the carrier knows no such call")
            repairs.given_back += outcomes.end([end], now)
    elif since >= longest_call():
        reason = "the carrier could not tell what became of the call"
        repairs.given_up += outcomes.end([Ended(attempt.pk, Outcome.FAILED, reason=reason)], now)
    else:
        reason = look_up.reason if isinstance(look_up, CantTell) else "the carrier knows no such call yet"
        repairs.parked += len(attempt_states.move([Move(attempt.pk, S.UNKNOWN, reason)], at=now))
        CallAttempt.objects.filter(pk=attempt.pk, status__in=CallAttempt.UNFINISHED).update(heard_at=now)


def _is_over_time(attempt: CallAttempt, now: datetime) -> bool:
    return attempt.placing_at is not None and now - attempt.placing_at > longest_call()


def _placed(attempt: CallAttempt) -> Placed:
    assert attempt.placing_at is not None
    number = attempt.call.number
    known = frozenset[str]()
    if not attempt.carrier_ref:
        others = CallAttempt.objects.filter(trunk=attempt.trunk, call__number=number).exclude(carrier_ref="")
        recent = others.filter(claimed_at__gte=attempt.claimed_at - timedelta(hours=1))
        known = frozenset(recent.values_list("carrier_ref", flat=True))
    return Placed(attempt.pk, number, attempt.campaign.caller_id.number, attempt.placing_at, attempt.carrier_ref, known)
