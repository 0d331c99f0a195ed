"""Rests of what takes no calls (a trunk, a caller ID): doubled with each failure in a row, then one call tries it."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from dialer.models import Health

Row = TypeVar("Row", bound=Health)

# A trunk that is back is used within a minute.
FIRST_REST = timedelta(seconds=1)
LONGEST_REST = timedelta(seconds=60)

# The columns of one that takes calls.
AWAKE: dict[str, Any] = {
    "failures": 0,
    "down_since": None,
    "resting_until": None,
    "next_try_at": None,
    "last_error": "",
}


def begin(health: Health, error: str, now: datetime, longest: timedelta = LONGEST_REST) -> timedelta | None:
    """Let it rest: changes the columns of the row, and stores nothing. Returns for how long.

    Failures during a rest do not count, because they began before it: then nothing changes, and None is returned.
    """
    if health.resting_until and health.resting_until > now:
        return None
    rest: timedelta = min(FIRST_REST * 2 ** min(health.failures, 10), longest)
    health.failures += 1
    health.down_since = health.down_since or now
    health.resting_until = now + rest
    health.next_try_at = None
    health.last_error = error[:255]
    return rest


def end(health: Health) -> None:
    """Let calls through again: changes the columns of the row, and stores nothing."""
    for column, value in AWAKE.items():
        setattr(health, column, value)


def may_try(row: "QuerySet[Row]", now: datetime) -> bool:
    """Tell whether a call may try what has failed: one at a time, over all accounts and dispatchers.

    The next may follow when the fate of this one is known, or has to be. A row that another process has locked is not
    waited for: that process tries it, or judges it. Dispatches of two accounts would wait for each other's trunks.
    """
    patience = timedelta(seconds=2 * settings.CARRIER_TIMEOUT_SECONDS)
    with transaction.atomic(savepoint=False):
        may = row.filter(Q(next_try_at=None) | Q(next_try_at__lte=now)).select_for_update(skip_locked=True)
        return bool(may and row.update(next_try_at=now + patience))
