"""The only module that writes Call.status. The events behind each move: docs/developer/states.md."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from campaigns import idle
from campaigns.models import Call, CallHistory
from core.state_machine import Move, StateMachine

Status = Call.Status

LEGAL: dict[str, set[str]] = {
    Status.CREATED: {Status.IN_PROGRESS, Status.FAILED, Status.CANCELED},
    # Back to created or retrying: the attempt was given back before any phone rang.
    Status.IN_PROGRESS: {Status.COMPLETED, Status.FAILED, Status.RETRYING, Status.CREATED, Status.CANCELED},
    Status.RETRYING: {Status.IN_PROGRESS, Status.FAILED, Status.CANCELED},
}

# The statuses of calls that wait to be dialed.
_WAITING = frozenset({Status.CREATED, Status.RETRYING})

_machine = StateMachine(Call, CallHistory, LEGAL)


def allows(before: str, after: str) -> bool:
    """Return whether a call in state `before` may move to state `after`."""
    return _machine.allows(before, after)


# The rule that ends calls to numbers on the do-not-call list. They are counted apart.
DO_NOT_CALL = "do-not-call"


def end_columns(*, at: datetime, reason: str, rule: str = "") -> dict[str, Any]:
    """Return the columns that a call gets with its final status: when and why it ended, and no retry.

    Args:
        rule: the code of the rule for its number that ended it.
    """
    return {"next_attempt_at": None, "rule": rule, "ended_at": at, "end_reason": reason[:255]}


def open_columns(*, next_attempt_at: datetime | None = None, rule: str = "") -> dict[str, Any]:
    """Return the same columns for a call that has not ended, so that one batch of moves can hold both kinds.

    Args:
        next_attempt_at: when the retry is due, for the status retrying; or until when a rule holds the call.
        rule: that holds it.
    """
    return {"next_attempt_at": next_attempt_at, "rule": rule, "ended_at": None, "end_reason": ""}


def move(moves: Sequence[Move], *, at: datetime) -> set[Any]:
    """Make the moves that are legal. Returns the ids of the calls that moved.

    A move to created or retrying makes a call due: its campaign must be held shared (`campaign_lock`).
    """
    moved = _machine.move(moves, at=at)
    if waiting := [move.pk for move in moves if move.to in _WAITING and move.pk in moved]:
        idle.note_due(waiting)
    return moved


def move_all(
    calls: "QuerySet[Call]", to: str, *, before: Iterable[str], at: datetime, reason: str = "", **columns: Any
) -> set[Any]:
    """Move the calls of the query whose status still is one of `before`. Returns the ids of those that moved."""
    return _machine.move_all(calls, to, before=before, at=at, reason=reason, **columns)
