"""The only module that writes CallAttempt.status. What moves an attempt out of each state: docs/developer/states.md."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from campaigns.models import Outcome
from core.state_machine import Move, StateMachine
from dialer.models import AttemptHistory, CallAttempt

Status = CallAttempt.Status

OUTCOMES = frozenset({Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED})

LEGAL: dict[str, AbstractSet[str]] = {
    Status.CLAIMED: {Status.PLACING, Status.CANCELED},
    # An event may overtake the carrier's own reply, so an outcome can follow placing directly.
    Status.PLACING: {Status.IN_PROGRESS, Status.UNKNOWN, Status.CANCELED, *OUTCOMES},
    Status.UNKNOWN: {Status.IN_PROGRESS, Status.CANCELED, *OUTCOMES},
    # Back to unknown: a look-up by number had taken another attempt's call for this one's. Canceled: the call was taken
    # back from the carrier's queue.
    Status.IN_PROGRESS: {Status.UNKNOWN, Status.CANCELED, *OUTCOMES},
}

_machine = StateMachine(CallAttempt, AttemptHistory, LEGAL)

assert {outcome.value for outcome in Outcome} == {state.value for state in OUTCOMES | {Status.CANCELED}}


# A claim is dialled within milliseconds. One that is older was held up: its message was lost, or no dialer is at work.
# Recovery enqueues it again, and the dialer that takes it gives it back, because to dial it now would break the pace
# that it was claimed under. /readyz, /metrics and the diagnosis report it.
CLAIM_LIFETIME = timedelta(seconds=10)


@dataclass(frozen=True)
class Claim:
    """A call to claim: the id and number (from 1) of its new attempt, who is dialed for whom, and over which trunk."""

    attempt_id: UUID
    call_id: int
    campaign_id: UUID
    account_id: int
    callee: str
    trunk_id: int
    number: int


def allows(before: str, after: str) -> bool:
    """Tell whether an attempt in state `before` may move to state `after`."""
    return _machine.allows(before, after)


def move(moves: Sequence[Move], *, at: datetime) -> set[Any]:
    """Make the moves that are legal. Returns the ids of the attempts that moved."""
    return _machine.move(moves, at=at)


def doubt(reasons: Mapping[UUID, str], *, at: datetime) -> set[Any]:
    """Move attempts whose reply was lost from placing to unknown. Returns the ids of those that moved.

    News that overtook the loss stands: an attempt that is known to be up must never be given back as one that never
    rang.
    """
    moves = [Move(pk, Status.UNKNOWN, reason) for pk, reason in reasons.items()]
    return _machine.move(moves, at=at, only_from=[Status.PLACING])


def claim(claims: Sequence[Claim], *, at: datetime) -> set[UUID]:
    """Insert the attempts as claimed, except those whose number has an attempt of the account under way.

    The database refuses a second unfinished attempt for a call. Rows go in by number, so that two dispatches over the
    same numbers wait for each other instead of deadlocking.

    Returns:
        The ids of the attempts that were inserted.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dialer_callattempt (id, call_id, campaign_id, account_id, callee, trunk_id, number, status,
                                            claimed_at, carrier_ref, digits, recording_url, reason)
            SELECT given.id, given.call_id, given.campaign_id, given.account_id, given.callee, given.trunk_id,
                given.number, 'claimed', %s, '', '', '', ''
            FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::bigint[], %s::int[])
                AS given(id, call_id, campaign_id, account_id, callee, trunk_id, number)
            ORDER BY given.callee
            ON CONFLICT (account_id, callee) WHERE status IN ('claimed', 'placing', 'in-progress', 'unknown') DO NOTHING
            RETURNING id
            """,
            [
                at,
                [claim.attempt_id for claim in claims],
                [claim.call_id for claim in claims],
                [claim.campaign_id for claim in claims],
                [claim.account_id for claim in claims],
                [claim.callee for claim in claims],
                [claim.trunk_id for claim in claims],
                [claim.number for claim in claims],
            ],
        )
        return {row[0] for row in cursor.fetchall()}
