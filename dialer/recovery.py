"""Repair what crashes, lost messages and silent carriers leave behind, every few seconds. Safe to run twice at once.

An attempt that was never offered to a carrier is offered again. After one that may have rung, the number is not dialled
again before the carrier has been asked. Where the carrier can't tell, the attempt is parked, and given up (spent) when
the longest possible call has passed.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Case, Q, QuerySet, When

from accounts.carriers import UnknownCarrier
from accounts.models import CarrierAccount, Trunk
from campaigns.models import Outcome
from core import batches
from core.encryption import UnreadableSecret
from core.state_machine import Move
from dialer import (
    attempt_states,
    carrier_accounts,
    carrier_refs,
    channels,
    dialing,
    inbox,
    look_up_pace,
    look_ups,
    messages,
    outcomes,
    reconciliation,
    repair_counts,
)
from dialer.attempt_ends import Ended
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.carriers.base import CantTell, Carrier, Event, LookUp, NoSuchCall, Placed
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

# Beyond the carrier's own time-out, for storing its reply.
SPARE = timedelta(seconds=5)
# A call that is up for longer than allowed is hung up; when that does not help for so long, the attempt is given up.
HANG_UP_GRACE = timedelta(minutes=5)
# The most that one sweep asks an account at a carrier for, so that a sweep takes seconds.
MOST_LOOK_UPS = 200
# The most dial messages that one sweep enqueues again, counted in attempts.
MOST_RESENT = 1000
# One sweep at a time: a number of our own, next to that of the channels.
LOCK = channels.LOCK + 1


@dataclass
class Repairs:
    """What one sweep repaired, in attempts; leaked counts leases."""

    messages_resent: int = 0
    adopted: int = 0
    ended: int = 0
    given_back: int = 0
    given_up: int = 0
    parked: int = 0
    leaked: int = 0
    missing: int = 0


def recover(now: datetime) -> Repairs:
    """Make one sweep and return what it repaired. Does nothing while another runs: a silent carrier makes it slow."""
    repairs = Repairs()
    with _alone() as is_alone:
        if not is_alone:
            return repairs
        _reconcile_leases(repairs)
        _resend_dial_messages(repairs, now)
        for place, to_look_up in _to_look_up(now).items():
            try:
                _look_up(place, to_look_up, repairs, now)
            except Exception:
                # A problem of one trunk must not stop the look-ups of the others. The next sweep asks again.
                log.exception("look_up_failed", trunk=place.trunk.name)
        carrier_accounts.forget_credentials()
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


@contextmanager
def _alone() -> Iterator[bool]:
    """Tell whether no other sweep runs. None begins while this one does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        [[is_alone]] = cursor.fetchall()
        try:
            yield is_alone
        finally:
            if is_alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def believed_after() -> timedelta:
    """Return the time from the intent after which "no such call" is believed.

    By then the request can't be on its way any more, and a call that the carrier took is in its list.
    """
    replied = dialing.ASKED_WITHIN + timedelta(seconds=settings.CARRIER_TIMEOUT_SECONDS)
    return replied + timedelta(seconds=settings.CARRIER_LIST_LAG_SECONDS)


def longest_call() -> timedelta:
    """Return the time from the dial to the end of the longest possible call, and some spare."""
    return timedelta(seconds=settings.RING_TIMEOUT_SECONDS + settings.MAX_CALL_SECONDS) + 6 * SPARE


def _resend_dial_messages(repairs: Repairs, now: datetime) -> None:
    """Enqueue the attempts again whose message seems lost. The dialer gives them back: they are claimed again."""
    claimed = CallAttempt.objects.filter(status=Status.CLAIMED, claimed_at__lt=now - CLAIM_LIFETIME)
    lost = list(claimed.order_by("claimed_at").values_list("id", "trunk_id", "call__number")[:MOST_RESENT])
    messages.enqueue_dial(lost)
    repairs.messages_resent = len(lost)


class Place(NamedTuple):
    """Where calls were placed: the account at the carrier that took them, over a trunk that may have left it since."""

    trunk: Trunk
    account: CarrierAccount


@dataclass
class ToLookUp:
    """Attempts of one place: those that its carrier is asked for, and those that there is no time left to ask for."""

    asked: list[CallAttempt] = field(default_factory=list)
    too_late: list[CallAttempt] = field(default_factory=list)


def _to_look_up(now: datetime) -> dict[Place, ToLookUp]:
    """Return the attempts to look up, as many of each account at a carrier as its allowance has room for."""
    no_reply = now - timedelta(seconds=settings.CARRIER_TIMEOUT_SECONDS) - SPARE
    unheard = now - timedelta(seconds=settings.CARRIER_POLL_AFTER_SECONDS)
    waiting = CallAttempt.objects.filter(
        Q(status=Status.UNKNOWN)
        | Q(status=Status.PLACING, placing_at__lt=no_reply)
        | Q(status=Status.IN_PROGRESS, heard_at__lt=unheard)
    )
    by_place: dict[Place, ToLookUp] = defaultdict(ToLookUp)
    for account_id in waiting.order_by().values_list("carrier_account_id", flat=True).distinct():
        of_account = waiting.filter(carrier_account=account_id)
        asked = _most_urgent(of_account, min(look_up_pace.room(account_id, now), MOST_LOOK_UPS), now)
        for attempt in asked:
            by_place[_place_of(attempt)].asked.append(attempt)
        for attempt in _too_late(of_account, asked, now):
            by_place[_place_of(attempt)].too_late.append(attempt)
    return by_place


def _place_of(attempt: CallAttempt) -> Place:
    assert attempt.carrier_account is not None  # the database says so of every attempt that was placed
    return Place(attempt.trunk, attempt.carrier_account)


_LOADED = ("call", "trunk", "carrier_account", "campaign__caller_id")


def _most_urgent(waiting: "QuerySet[CallAttempt]", room: int, now: datetime) -> list[CallAttempt]:
    """Return at most `room` of the attempts: those in doubt, whose look-up settles them, then those longest unheard.

    Calls that are known to be up have a share: their channels wait for an end whose news was lost.
    """
    if room <= 0:
        return []
    is_young = Case(When(placing_at__gt=now - believed_after(), then=1), default=0)
    waiting = waiting.select_related(*_LOADED)
    in_doubt = list(waiting.exclude(status=Status.IN_PROGRESS).order_by(is_young, "heard_at", "id")[:room])
    up = list(waiting.filter(status=Status.IN_PROGRESS).order_by("heard_at", "id")[:room])
    share = min(len(up), int(room * look_up_pace.SHARE_OF_CALLS_UP))
    chosen = in_doubt[: room - share]
    return chosen + up[: room - len(chosen)]


def _too_late(waiting: "QuerySet[CallAttempt]", asked: Sequence[CallAttempt], now: datetime) -> list[CallAttempt]:
    """Return attempts that are older than any call, and that the carrier can't be asked for now: they end unasked."""
    over = waiting.filter(placing_at__lt=now - longest_call() - HANG_UP_GRACE)
    late = over.exclude(pk__in=[attempt.pk for attempt in asked]).select_related(*_LOADED)
    return list(late.order_by("placing_at", "id")[:MOST_LOOK_UPS])


def _look_up(place: Place, to_look_up: ToLookUp, repairs: Repairs, now: datetime) -> None:
    attempts = [*to_look_up.asked, *to_look_up.too_late]
    before = look_ups.neighbours(place.account, attempts)
    repeated = carrier_refs.repeated_among(place.account, attempts)
    asked = [attempt for attempt in to_look_up.asked if attempt.pk not in repeated]
    found = _ask_at_our_pace(place, [look_ups.placed(attempt, before[attempt.pk]) for attempt in asked], now)
    unasked = CantTell("the carrier could not be asked in time")
    # Both as they are now, as an attempt may have begun while the carrier was asked.
    neighbours = look_ups.neighbours(place.account, attempts)
    repeated = carrier_refs.repeated_among(place.account, attempts)

    def apply(attempt: CallAttempt) -> LookUp:
        if attempt.pk in repeated:
            look_up: LookUp = CantTell("the carrier has given the id of this call to another one too")
        else:
            look_up = look_ups.as_far_as_believed(attempt, found.get(attempt.pk, unasked), neighbours[attempt.pk])
        _apply_unless_ambiguous(attempt, look_up, repairs, now)
        return look_up

    applied = batches.one_by_one(
        "apply look-ups", attempts, apply, give_up=lambda attempt, error: outcomes.give_up(attempt.pk, error, now)
    )
    over_time = [
        look_up.carrier_ref
        for attempt, look_up in applied.items()
        if isinstance(look_up, Event) and look_up.status == Status.IN_PROGRESS and _age(attempt, now) > longest_call()
    ]
    if over_time:
        log.warning("calls_over_time", trunk=place.trunk.name, calls=len(over_time))
        inbox.append(place.account.carrier, _carrier_of(place).hang_up(over_time))


def _carrier_of(place: Place) -> Carrier:
    return carrier_accounts.carrier_of(place.account, place.trunk)


def _ask_at_our_pace(place: Place, placed: Sequence[Placed], now: datetime) -> Mapping[UUID, LookUp]:
    """Ask, and leave the carrier alone for a while where it replies that it takes no more requests."""
    if not placed:
        return {}
    look_up_pace.take(place.account.pk, len(placed), now)
    found = _ask(place, placed)
    too_many = [look_up for look_up in found.values() if isinstance(look_up, CantTell) and look_up.is_too_many]
    if too_many:
        asked_for = [look_up.retry_after for look_up in too_many if look_up.retry_after is not None]
        look_up_pace.rest(place.account.pk, max(asked_for, default=None), now)
        log.warning("look_ups_paused", trunk=place.trunk.name, look_ups=len(too_many), reason=too_many[0].reason)
    return found


def _ask(place: Place, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
    """Ask what became of the attempts. A carrier that can't be asked can't tell, so that they end all the same."""
    try:
        return _carrier_of(place).look_up(placed)
    except (UnreadableSecret, UnknownCarrier) as error:
        log.warning("carrier_not_asked", trunk=place.trunk.name, error=str(error))
        return {attempt.attempt_id: CantTell(str(error)) for attempt in placed}


def _apply_unless_ambiguous(attempt: CallAttempt, look_up: LookUp, repairs: Repairs, now: datetime) -> None:
    """Leave the attempt to the next sweep where the call found for it is another attempt's: both dialled one number."""
    try:
        with transaction.atomic():
            _apply(attempt, look_up, repairs, now)
    except IntegrityError:
        if _age(attempt, now) >= longest_call():
            raise
        log.warning("look_up_ambiguous", attempt=attempt.pk.hex)


def _apply(attempt: CallAttempt, look_up: LookUp, repairs: Repairs, now: datetime) -> None:
    """Apply the carrier's reply, or the lack of one, to the attempt."""
    age = _age(attempt, now)
    if isinstance(look_up, Event) and look_up.status != Status.IN_PROGRESS:
        repairs.ended += outcomes.settle([(attempt.pk, look_up)], now)
    elif isinstance(look_up, Event) and age <= longest_call() + HANG_UP_GRACE:
        repairs.adopted += _adopt(attempt, look_up, now)
    elif isinstance(look_up, NoSuchCall) and age >= believed_after():
        _believe(attempt, repairs, now)
    elif age >= longest_call():
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
        parked = len(attempt_states.move([Move(attempt.pk, Status.UNKNOWN, reason)], at=now))
    CallAttempt.objects.filter(pk=attempt.pk, status__in=CallAttempt.UNFINISHED).update(heard_at=now)
    return parked


def _age(attempt: CallAttempt, now: datetime) -> timedelta:
    assert attempt.placing_at is not None  # the database says so of every attempt that is looked up
    return now - attempt.placing_at
