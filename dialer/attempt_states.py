"""The only module that writes CallAttempt.status. Who moves an attempt out of each state: docs/developer/states.md."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from campaigns.models import Outcome
from core.state_machine import Move, StateMachine
from dialer.models import AttemptHistory, CallAttempt

S = CallAttempt.Status

OUTCOMES = frozenset({S.COMPLETED, S.BUSY, S.NO_ANSWER, S.FAILED})

LEGAL: dict[str, AbstractSet[str]] = {
    S.CLAIMED: {S.PLACING, S.CANCELED},
    # An event may overtake the carrier's own answer, so an outcome can come straight from placing.
    S.PLACING: {S.IN_PROGRESS, S.UNKNOWN, S.CANCELED, *OUTCOMES},
    S.UNKNOWN: {S.IN_PROGRESS, S.CANCELED, *OUTCOMES},
    # Back to unknown: a look-up by number had taken another attempt's call for this one's.
    S.IN_PROGRESS: {S.UNKNOWN, *OUTCOMES},
}

_machine = StateMachine(CallAttempt, AttemptHistory, LEGAL)

assert {outcome.value for outcome in Outcome} == {state.value for state in OUTCOMES | {S.CANCELED}}


@dataclass(frozen=True)
class Claim:
    """A call that is being attempted: the new attempt's id and number (from 1), and whence it goes out."""

    attempt_id: UUID
    call_id: int
    campaign_id: UUID
    trunk_id: int
    number: int


def allows(before: str, after: str) -> bool:
    return _machine.allows(before, after)


def move(moves: Sequence[Move], *, at: datetime) -> set[Any]:
    """Makes the moves that are legal; answers the ids of the attempts that moved."""
    return _machine.move(moves, at=at)


def claim(claims: Sequence[Claim], *, at: datetime) -> None:
    """Adds the attempts, in the state claimed. The database refuses a second unfinished attempt for a call."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dialer_callattempt (id, call_id, campaign_id, trunk_id, number, status, claimed_at,
                                            carrier_ref, digits, recording_url, reason)
            SELECT given.id, given.call_id, given.campaign_id, given.trunk_id, given.number, 'claimed', %s,
                '', '', '', ''
            FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bigint[], %s::int[])
                AS given(id, call_id, campaign_id, trunk_id, number)
            """,
            [
                at,
                [each.attempt_id for each in claims],
                [each.call_id for each in claims],
                [each.campaign_id for each in claims],
                [each.trunk_id for each in claims],
                [each.number for each in claims],
            ],
        )
