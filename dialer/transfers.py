"""Second legs: calls to other numbers that a flow connects its callee to. Each is a channel, and a record.

A leg passes the gate twice, as an attempt does: before a channel of account and trunk is leased for it, and, once its
row is committed, again before the carrier is told to ring the number. Where the gate is shut, now or for ever, the leg
has ended with the reason, and the flow goes on as if nobody had taken the call; so it does where no channel is free.

A leg is named by its attempt and its place in the flow, where a flow never comes twice: the carrier may ask again for
what it was told, and is told the same leg while it is open, and never to ring it again afterwards. Nor is another
number rung for it, which the flow got there in between.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from redis.exceptions import RedisError
from uuid_utils.compat import uuid7

from accounts.models import Account, Trunk
from campaigns import campaign_lock
from campaigns.models import Campaign, Outcome
from core import failpoints
from dialer import channels, gate, holds, number_gate, reconciliation
from dialer.channels import LeaseRequest, Scope
from dialer.models import CallAttempt, Transfer
from dialer.number_gate import Ring, Shut

log = structlog.get_logger(__name__)

# How long after the gate was asked the number may still be rung: the gate is asked for that moment, too, and once more
# where the carrier asks again later.
RUNG_WITHIN = timedelta(seconds=5)

# How a leg ends, in the carriers' words and in ours. Any other word of theirs is a failure.
OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "answered": Outcome.COMPLETED,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.CANCELED,
}


# One that may have rung, and ended with its call before anybody told of it.
_ENDED_UNSEEN = Q(outcome=Outcome.CANCELED, placing_at__isnull=False)


@dataclass(frozen=True)
class Begun:
    """What to do with a leg.

    Attributes:
        may_ring: the carrier is told to ring the number; otherwise the outcome of the leg counts.
        leg_id: of the leg that is rung, or was.
    """

    may_ring: bool
    outcome: str = ""
    leg_id: UUID | None = None

    @classmethod
    def of(cls, leg: Transfer) -> "Begun":
        return cls(leg.ended_at is None, leg.outcome, leg.pk)

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
    """Begin a leg, where the gate lets its number be rung and a channel is free.

    Args:
        attempt: with its account and trunk loaded.

    Returns:
        NO_CHANNEL where none is free, or the call has ended.
    """
    leg = _known(attempt, place) or _begin(attempt, place, number, now)
    if leg is None:
        return NO_CHANNEL
    if _is_settled(leg, number, now):
        return Begun.of(leg)
    failpoints.reached("leg-claimed")
    return Begun.of(_commit_intent(attempt, leg, number, now))


def _begin(attempt: CallAttempt, place: str, number: str, now: datetime) -> Transfer | None:
    """Return a new leg, which the gate has let through or which has ended; None without a channel for it.

    Where the carrier has asked twice at once, it may be the other question's.
    """
    if attempt.status not in CallAttempt.UNFINISHED:
        return None
    # What the number is for this leg, whatever becomes of the list meanwhile.
    to_person = number not in attempt.account.agent_numbers
    asked = Transfer(pk=uuid7(), attempt=attempt, account_id=attempt.account_id, place=place, number=number)
    asked.to_person, asked.started_at = to_person, now
    shut = _why_shut(attempt, asked, now)
    return _refuse(attempt, asked, shut, now) if shut else _claim(attempt, asked)


def _is_settled(leg: Transfer, number: str, now: datetime) -> bool:
    """Whether it has ended, or the gate has let this number through a moment ago."""
    let_through = leg.number == number and leg.placing_at is not None and now <= leg.placing_at + RUNG_WITHIN
    return let_through or leg.ended_at is not None


def _known(attempt: CallAttempt, place: str) -> Transfer | None:
    return Transfer.objects.filter(attempt=attempt, place=place).first()


# The gate ------------------------------------------------------------------------------------------------------------


def _why_shut(attempt: CallAttempt, leg: Transfer, now: datetime) -> Shut | None:
    """Ask the gate for the campaign, then for the number. Returns why it must not be rung; None where it may."""
    campaign = _campaign(attempt)
    check = gate.check_for_people if leg.to_person else gate.check_for_agents
    until = now + RUNG_WITHIN
    for moment in (now, until):
        if not isinstance(verdict := check(campaign, moment), gate.Open):
            return verdict
    ring = Ring(leg.pk, campaign, leg.number, leg_id=leg.pk, is_agent=not leg.to_person)
    return number_gate.check([ring], now, until).get(leg.pk)


def _campaign(attempt: CallAttempt) -> Campaign:
    """Return the campaign as it is now, with all that the gate reads.

    Its trunk is that of the call, over which the leg leaves, even if the caller ID has left it since.
    """
    campaign = Campaign.objects.select_related("account", "caller_id__health").get(pk=attempt.campaign_id)
    campaign.caller_id.trunk = Trunk.objects.select_related("health").get(pk=attempt.trunk_id)
    return campaign


def _refuse(attempt: CallAttempt, asked: Transfer, shut: Shut, now: datetime) -> Transfer:
    """Note a leg whose number must not be rung. It has no channel yet."""
    return _stored(asked, **_shut_columns(attempt, shut, now))


def _stored(asked: Transfer, **columns: Any) -> Transfer:
    """Store the leg, unless the carrier has asked twice at once and it is there. Returns the one that is."""
    given = {"pk": asked.pk, "account_id": asked.account_id, "number": asked.number}
    given |= {"to_person": asked.to_person, "started_at": asked.started_at}
    leg, _ = Transfer.objects.get_or_create(attempt=asked.attempt, place=asked.place, defaults={**given, **columns})
    return leg


def _shut_columns(attempt: CallAttempt, shut: Shut, now: datetime) -> dict[str, Any]:
    log.warning("transfer_refused", attempt=attempt.pk.hex, rule=shut.code, reason=shut.because)
    return {"ended_at": now, "outcome": Outcome.FAILED, "rule": shut.code, "reason": shut.because[:255]}


# The claim and the intent --------------------------------------------------------------------------------------------


def _claim(attempt: CallAttempt, asked: Transfer) -> Transfer | None:
    """Take a channel for a leg and commit its row. None where no channel is free, or the call has ended."""
    try:
        return _lease(attempt, asked)
    except channels.LeasesLost as lost:
        log.warning("leases_rebuilt", because=str(lost))
        reconciliation.rebuild()
        return _lease(attempt, asked)
    except RedisError as error:
        log.warning("transfer_without_channel", attempt=attempt.pk.hex, error=str(error))
        return None


def _lease(attempt: CallAttempt, asked: Transfer) -> Transfer | None:
    request = LeaseRequest(asked.pk, scopes_of(attempt.account, attempt.trunk))
    with transaction.atomic():
        channels.hold_shared()
        up = CallAttempt.objects.select_for_update().filter(pk=attempt.pk, status__in=CallAttempt.UNFINISHED)
        is_up = up.exists()
        if known := _known(attempt, asked.place):
            return known  # the carrier has asked twice at once
        if not is_up or not channels.lease([request]).holders:
            log.info("transfer_without_channel", attempt=attempt.pk.hex)
            return None
        return _stored(asked)


def _commit_intent(attempt: CallAttempt, leg: Transfer, number: str, now: datetime) -> Transfer:
    """Ask the gate again, and commit that the number is rung; or end the leg. Returns it as it is then.

    The leg's row is committed, so an attempt to the number whose claim this look does not see will see the leg before
    its own intent. The campaign can't be paused or ended meanwhile, nor the server be held.
    """
    with transaction.atomic():
        campaign_lock.hold_shared("SELECT %s::uuid UNION ALL SELECT %s::uuid", attempt.campaign_id, holds.LOCK)
        leg = Transfer.objects.select_for_update().get(pk=leg.pk)
        if _is_settled(leg, number, now):
            return leg  # by another question of the carrier's, or with its call
        columns = _decided(attempt, leg, number, now)
        for name, value in columns.items():
            setattr(leg, name, value)
        leg.save(update_fields=columns)
        if leg.ended_at:
            transaction.on_commit(lambda: _release([(leg.pk, attempt.account_id, attempt.trunk_id)]))
    return leg


def _decided(attempt: CallAttempt, leg: Transfer, number: str, now: datetime) -> dict[str, Any]:
    """Return what is noted of a leg: that it is rung, or how it has ended.

    One that was let through before may have rung: it keeps the time, and counts, even if the gate is shut now.
    """
    if leg.number != number:
        # Its own number may ring after all, if the carrier follows what it was told before. Then it tells of the end.
        log.warning("transfer_number_changed", attempt=attempt.pk.hex, place=leg.place)
        return {"ended_at": now, "outcome": Outcome.CANCELED}
    shut = _why_shut(attempt, leg, now)
    return _shut_columns(attempt, shut, now) if shut else {"placing_at": now}


def scopes_of(account: Account, trunk: Trunk) -> tuple[Scope, ...]:
    """Return what a leg counts against. The caller ID's own cap is of campaigns' calls."""
    return channels.account_scope(account), Scope("trunk", trunk.pk, trunk.channels or channels.NO_CAP)


def end(attempt: CallAttempt, place: str, outcome: str, talk_seconds: int | None, now: datetime) -> None:
    """End a leg as the carrier says. What it says of one that has ended changes nothing, unless it ended with its call.

    Then nobody knew whether it was taken, and a cap of conversations counts it once it is known.
    """
    ended = OUTCOMES.get(outcome, Outcome.FAILED)
    talked = talk_seconds if ended == Outcome.COMPLETED else None
    with transaction.atomic():
        Transfer.objects.filter(_ENDED_UNSEEN, attempt=attempt, place=place).update(outcome=ended, talk_seconds=talked)
        still_open = Transfer.objects.select_for_update().filter(attempt=attempt, place=place, ended_at=None)
        closed = list(still_open.values_list("pk", flat=True))
        # Whatever is noted here, what the carrier tells the end of has rung.
        placing_at = Coalesce("placing_at", "started_at")
        still_open.update(ended_at=now, outcome=ended, talk_seconds=talked, placing_at=placing_at)
        transaction.on_commit(lambda: _release([(pk, attempt.account_id, attempt.trunk_id) for pk in closed]))


@dataclass(frozen=True)
class LegEnd:
    """How a leg ended that this server itself has rung."""

    leg_id: UUID
    outcome: str
    talk_seconds: int | None
    ended_at: datetime


def end_legs(ends: Sequence[LegEnd]) -> None:
    """End these legs, unless they have ended, as `end` does. Within the caller's transaction."""
    for end in ends:
        unseen = Transfer.objects.filter(_ENDED_UNSEEN, pk=end.leg_id)
        unseen.update(outcome=end.outcome, talk_seconds=end.talk_seconds)
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
