"""Second legs: calls to other numbers that a flow connects its callee to. Each is a channel, and a record.

A channel of account and trunk is leased before the carrier is told to ring the number; where none is free, the flow
goes on as if nobody had taken the call. A leg is named by its attempt and its place in the flow, where a flow never
comes twice: the carrier may ask again for what it was told, and is told the same leg while it is open, and never to
ring it again afterwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog
from django.db import connection, transaction
from redis.exceptions import RedisError
from uuid_utils.compat import uuid7

from accounts.models import Account, Trunk
from campaigns.models import Outcome
from dialer import channels, holds, number_gate, reconciliation
from dialer.channels import LeaseRequest, Scope
from dialer.models import CallAttempt, Transfer

log = structlog.get_logger(__name__)

# How a leg ends, in the carriers' words and in ours. Any other word of theirs is a failure.
OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "answered": Outcome.COMPLETED,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.CANCELED,
}


@dataclass(frozen=True)
class Begun:
    """What to do with a leg.

    Attributes:
        may_ring: the carrier is told to ring the number; otherwise the outcome of the leg counts.
        leg_id: where there is a leg.
    """

    may_ring: bool
    outcome: str = ""
    leg_id: UUID | None = None

    @property
    def was_taken(self) -> bool:
        """Whether somebody has answered it, and the call is over."""
        return self.outcome == Outcome.COMPLETED

    @property
    def may_try_others(self) -> bool:
        """Whether the numbers after it may be rung. Without a channel for this one, they would find none either."""
        return bool(self.outcome)


NO_CHANNEL = Begun(may_ring=False)


def ask(attempt: CallAttempt, place: str, number: str, now: datetime) -> Begun:
    """Begin a leg. One whose number must not be rung counts as one where nobody answers.

    Args:
        attempt: with its account and trunk loaded.
    """
    if why_not := number_gate.why_no_transfer(attempt.account, number):
        log.warning("transfer_refused", attempt=attempt.pk.hex, reason=why_not)
        return Begun(may_ring=False, outcome=Outcome.FAILED)
    return begin(attempt, place, number, now)


def begin(attempt: CallAttempt, place: str, number: str, now: datetime) -> Begun:
    """Take a channel for a leg and note it. NO_CHANNEL where none is free, the call has ended, or the server is held.

    Args:
        attempt: with its account and trunk loaded.
    """
    if known := _known(attempt, place):
        return known
    try:
        return _begin(attempt, place, number, now)
    except channels.LeasesLost as lost:
        log.warning("leases_rebuilt", because=str(lost))
        reconciliation.rebuild()
        return _begin(attempt, place, number, now)
    except RedisError as error:
        log.warning("transfer_without_channel", attempt=attempt.pk.hex, error=str(error))
        return NO_CHANNEL


def _begin(attempt: CallAttempt, place: str, number: str, now: datetime) -> Begun:
    request = LeaseRequest(uuid7(), scopes_of(attempt.account, attempt.trunk))
    with transaction.atomic():
        channels.hold_shared()
        up = CallAttempt.objects.select_for_update().filter(pk=attempt.pk, status__in=CallAttempt.UNFINISHED)
        is_up = up.exists()
        if known := _known(attempt, place):
            return known  # the carrier has asked twice at once
        if not is_up or holds.current() or not channels.lease([request]).holders:
            log.info("transfer_without_channel", attempt=attempt.pk.hex)
            return NO_CHANNEL
        Transfer.objects.create(pk=request.holder, attempt=attempt, place=place, number=number, started_at=now)
    return Begun(may_ring=True, leg_id=request.holder)


def _known(attempt: CallAttempt, place: str) -> Begun | None:
    """Return what to do with a leg that is noted already."""
    leg = Transfer.objects.filter(attempt=attempt, place=place).first()
    return Begun(leg.ended_at is None, leg.outcome, leg.pk) if leg else None


def scopes_of(account: Account, trunk: Trunk) -> tuple[Scope, ...]:
    """Return what a leg counts against. The caller ID's own cap is of campaigns' calls."""
    return channels.account_scope(account), Scope("trunk", trunk.pk, trunk.channels or channels.NO_CAP)


def end(attempt: CallAttempt, place: str, outcome: str, talk_seconds: int | None, now: datetime) -> None:
    """End a leg as the carrier says. What it says of one that has ended changes nothing."""
    ended = OUTCOMES.get(outcome, Outcome.FAILED)
    talked = talk_seconds if ended == Outcome.COMPLETED else None
    with transaction.atomic():
        still_open = Transfer.objects.select_for_update().filter(attempt=attempt, place=place, ended_at=None)
        closed = list(still_open.values_list("pk", flat=True))
        still_open.update(ended_at=now, outcome=ended, talk_seconds=talked)
        transaction.on_commit(lambda: _release([(pk, attempt.account_id, attempt.trunk_id) for pk in closed]))


@dataclass(frozen=True)
class LegEnd:
    """How a leg ended that this server itself has rung."""

    leg_id: UUID
    outcome: str
    talk_seconds: int | None
    ended_at: datetime


def end_legs(ends: Sequence[LegEnd]) -> None:
    """End these legs, unless they have ended. Within the caller's transaction."""
    for end in ends:
        still_open = Transfer.objects.filter(pk=end.leg_id, ended_at=None)
        keys = list(still_open.values_list("pk", "attempt__account_id", "attempt__trunk_id"))
        if still_open.update(ended_at=end.ended_at, outcome=end.outcome, talk_seconds=end.talk_seconds):
            transaction.on_commit(partial(_release, keys))


def end_with(attempts: Sequence[CallAttempt], now: datetime) -> None:
    """End the legs that are open when their calls end: nobody has told of them. Within the caller's transaction.

    Args:
        attempts: with their campaigns loaded.
    """
    places = {attempt.pk: (attempt.campaign.account_id, attempt.trunk_id) for attempt in attempts}
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dialer_transfer SET ended_at = %s, outcome = %s"
            " WHERE attempt_id = ANY(%s) AND ended_at IS NULL RETURNING id, attempt_id",
            [now, Outcome.CANCELED.value, list(places)],
        )
        closed = [(pk, *places[attempt_id]) for pk, attempt_id in cursor.fetchall()]
    if closed:
        transaction.on_commit(lambda: _release(closed))


def _release(legs: Iterable[tuple[UUID, int, int]]) -> None:
    channels.release(
        (pk, channels.keys_of_transfer(account_id=account_id, trunk_id=trunk_id)) for pk, account_id, trunk_id in legs
    )
