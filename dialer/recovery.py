"""Repair what crashes, lost messages and silent carriers leave behind, every few seconds. Safe to run twice at once.

An attempt that was never offered to a carrier is offered again. After one that may have rung, the number is not dialled
again before the carrier has been asked. Where the carrier can't tell, the attempt is parked, and given up (spent) when
the longest possible call has passed.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, OperationalError, transaction

from campaigns.models import Outcome
from core import batches
from core.state_machine import Move
from dialer import (
    attempt_states,
    carrier_accounts,
    carrier_refs,
    failover,
    hang_ups,
    look_ups,
    messages,
    outcomes,
    reconciliation,
    repair_counts,
    restores,
    sweep_lease,
    withdrawals,
)
from dialer.attempt_ends import Ended
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.carrier_accounts import Place
from dialer.carriers.base import CantTell, Event, LookUp, NoSuchCall
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

# The most dial messages that one sweep enqueues again, counted in attempts.
MOST_RESENT = 1000


@dataclass
class Repairs:
    """What one sweep repaired, in attempts; leaked counts leases, withdrawn calls that waited in a carrier's queue."""

    messages_resent: int = 0
    adopted: int = 0
    ended: int = 0
    given_back: int = 0
    given_up: int = 0
    parked: int = 0
    withdrawn: int = 0
    leaked: int = 0
    missing: int = 0


def recover(now: datetime) -> Repairs:
    """Make one sweep and return what it repaired. Does nothing while another runs: a silent carrier makes it slow."""
    repairs = Repairs()
    if not restores.look(now, at_once=True):
        return repairs
    with sweep_lease.turn(now) as turn:
        if turn is None:
            return repairs
        _reconcile_leases(repairs)
        _resend_dial_messages(repairs, now)
        failover.choose(now)
        _withdraw(repairs, now)
        for place, to_look_up in look_ups.to_look_up(now).items():
            if not turn.renew():
                break
            try:
                _look_up(place, to_look_up, repairs, now)
            except Exception:
                # A problem of one trunk must not stop the look-ups of the others. The next sweep asks again.
                log.exception("look_up_failed", trunk=place.trunk.name)
        carrier_accounts.forget_credentials()
    restores.may_dial(now)  # after a standstill the carriers are asked also where nothing is due
    repaired = {kind: count for kind, count in asdict(repairs).items() if count}
    if repaired:
        log.warning("recovered", **repaired)
        repair_counts.add(repaired)
    return repairs


def _reconcile_leases(repairs: Repairs) -> None:
    try:
        corrected = reconciliation.reconcile()
    except OperationalError as error:
        # A dispatch holds the lock for too long. The rest of the sweep must not wait for that as well.
        log.warning("leases_not_reconciled", error=str(error))
    else:
        repairs.leaked, repairs.missing = corrected.leaked, corrected.missing


def _resend_dial_messages(repairs: Repairs, now: datetime) -> None:
    """Enqueue the attempts again whose message seems lost. The dialer gives them back: they are claimed again."""
    claimed = CallAttempt.objects.filter(status=Status.CLAIMED, claimed_at__lt=now - CLAIM_LIFETIME)
    lost = list(claimed.order_by("claimed_at").values_list("id", "trunk_id", "call__number")[:MOST_RESENT])
    messages.enqueue_dial(lost)
    repairs.messages_resent = len(lost)


def _withdraw(repairs: Repairs, now: datetime) -> None:
    """Take back what waits in carriers' queues and may not be called any more."""
    try:
        repairs.withdrawn = withdrawals.withdraw(now)
    except batches.TRANSIENT_ERRORS:
        raise
    except Exception:
        # A problem of one trunk must not stop the repair of the others.
        log.exception("withdrawal_failed")


def _look_up(place: Place, to_look_up: look_ups.ToLookUp, repairs: Repairs, now: datetime) -> None:
    attempts = [*to_look_up.asked, *to_look_up.too_late]
    before = look_ups.neighbours(place.account, attempts)
    repeated = carrier_refs.repeated_among(place.account, attempts)
    asked = [attempt for attempt in to_look_up.asked if attempt.pk not in repeated]
    found = look_ups.ask_at_our_pace(place, [look_ups.placed(attempt, before[attempt.pk]) for attempt in asked], now)
    unasked = CantTell("the carrier could not be asked in time")
    # Both as they are now, as an attempt may have begun while the carrier was asked.
    neighbours = look_ups.neighbours(place.account, attempts)
    repeated = carrier_refs.repeated_among(place.account, attempts)

    def apply(attempt: CallAttempt) -> LookUp:
        if attempt.pk in repeated:
            look_up: LookUp = CantTell("the carrier has given the id of this call to another one too")
        else:
            look_up = look_ups.as_far_as_believed(
                attempt, found.get(attempt.pk, unasked), before[attempt.pk], neighbours[attempt.pk]
            )
        _apply_unless_ambiguous(attempt, look_up, repairs, now)
        return look_up

    applied = batches.one_by_one(
        "apply look-ups", attempts, apply, give_up=lambda attempt, error: outcomes.give_up(attempt.pk, error, now)
    )
    over_time = [
        look_up.carrier_ref
        for attempt, look_up in applied.items()
        if isinstance(look_up, Event)
        and look_up.status == Status.IN_PROGRESS
        and _age(attempt, now) > look_ups.longest_call()
    ]
    if over_time:
        carrier = look_ups.carrier_of(place)
        log.warning("calls_over_time", trunk=place.trunk.name, calls=len(over_time), hung_up=carrier.kind.hangs_up)
        hang_ups.ask(carrier, over_time)


def _apply_unless_ambiguous(attempt: CallAttempt, look_up: LookUp, repairs: Repairs, now: datetime) -> None:
    """Leave the attempt to the next sweep where the call found for it is another attempt's: both dialled one number."""
    try:
        with transaction.atomic():
            _apply(attempt, look_up, repairs, now)
    except IntegrityError:
        if _age(attempt, now) >= look_ups.longest_call():
            raise
        log.warning("look_up_ambiguous", attempt=attempt.pk.hex)


def _apply(attempt: CallAttempt, look_up: LookUp, repairs: Repairs, now: datetime) -> None:
    """Apply the carrier's reply, or the lack of one, to the attempt."""
    age = _age(attempt, now)
    if isinstance(look_up, Event) and look_up.status != Status.IN_PROGRESS:
        repairs.ended += outcomes.settle([(attempt.pk, look_up)], now)
    elif isinstance(look_up, Event) and age <= look_ups.longest_call() + look_ups.HANG_UP_GRACE:
        repairs.adopted += _adopt(attempt, look_up, now)
    elif isinstance(look_up, NoSuchCall) and age >= look_ups.believed_after():
        _believe(attempt, repairs, now)
    elif age >= look_ups.longest_call():
        repairs.given_up += _spend(attempt, "nobody could tell what became of the call", now)
    else:
        reason = look_up.reason if isinstance(look_up, CantTell) else "the carrier knows no such call yet"
        repairs.parked += _park(attempt, reason, now)


def _believe(attempt: CallAttempt, repairs: Repairs, now: datetime) -> None:
    """Apply that the carrier knows no such call."""
    if attempt.status == Status.IN_PROGRESS:
        # It took the call and has forgotten it. A phone may have rung, so the attempt is spent.
        repairs.ended += _spend(attempt, "the carrier no longer knows the call", now)
    else:
        end = Ended(attempt.pk, Outcome.CANCELED, reason="the carrier knows no such call")
        repairs.given_back += outcomes.end([end], now)


def _adopt(attempt: CallAttempt, event: Event, now: datetime) -> int:
    """Let the attempt go on: the carrier has its call."""
    columns = {"carrier_ref": event.carrier_ref, "heard_at": now, "ref_is_guess": event.is_guess}
    adopted = attempt_states.move([Move(attempt.pk, Status.IN_PROGRESS, "found at the carrier", columns)], at=now)
    CallAttempt.objects.filter(pk=attempt.pk, status=Status.IN_PROGRESS).update(heard_at=now)
    return len(adopted)


def _spend(attempt: CallAttempt, reason: str, now: datetime) -> int:
    """Count the attempt as failed, because a phone may have rung. The retry policy decides what follows."""
    return outcomes.end([Ended(attempt.pk, Outcome.FAILED, reason=reason)], now)


def _park(attempt: CallAttempt, reason: str, now: datetime) -> int:
    """Leave the attempt its channel, to be asked for again. One that is known to be up stays in progress."""
    parked = 0
    if attempt.status == Status.PLACING:
        parked = len(attempt_states.doubt({attempt.pk: reason}, at=now))
    CallAttempt.objects.filter(pk=attempt.pk, status__in=CallAttempt.UNFINISHED).update(heard_at=now)
    return parked


def _age(attempt: CallAttempt, now: datetime) -> timedelta:
    assert attempt.placing_at is not None  # the database says so of every attempt that is looked up
    return now - attempt.placing_at
