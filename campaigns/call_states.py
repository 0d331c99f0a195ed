"""The only module that writes Call.status. Who moves a call out of each state: docs/states.md."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from campaigns.models import Call, CallHistory
from core.state_machine import Move, StateMachine

S = Call.Status

LEGAL: dict[str, set[str]] = {
    S.CREATED: {S.IN_PROGRESS, S.FAILED, S.CANCELED},
    # Back to created or retrying: the attempt was given back before anybody was rung.
    S.IN_PROGRESS: {S.COMPLETED, S.FAILED, S.RETRYING, S.CREATED, S.CANCELED},
    S.RETRYING: {S.IN_PROGRESS, S.FAILED},
}

_machine = StateMachine(Call, CallHistory, LEGAL)


def allows(before: str, after: str) -> bool:
    return _machine.allows(before, after)


def move(moves: Sequence[Move], *, at: datetime) -> set[Any]:
    """Makes the moves that are legal; answers the ids of the calls that moved."""
    return _machine.move(moves, at=at)


def move_all(
    calls: "QuerySet[Call]", to: str, *, before: Iterable[str], at: datetime, reason: str = "", **columns: Any
) -> set[Any]:
    """Moves the calls of the query whose status still is one of `before`; answers the ids that moved."""
    return _machine.move_all(calls, to, before=before, at=at, reason=reason, **columns)
