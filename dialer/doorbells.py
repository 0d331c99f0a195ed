"""Doorbells of the dialer, each rung once however many hands press it.

A key in Redis says that the bell has been rung and not yet answered. Who answers forgets the key first and looks
second, so a ring that comes during the work leads to another look. A lost message costs at most a second: the key
expires, and beat's tick rings anyway.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from campaigns.doorbell import ring
from campaigns.numbers import masked
from dialer.redis_client import redis_client

log = structlog.get_logger(__name__)

# How long a ring counts as unanswered, in milliseconds; beat ticks as often.
UNANSWERED_MS = 1000
# Calls of one batch are placed at the same time by one thread of a dialer, so a batch is also its burst of connections.
# Smaller ones cost more: at 50, a tenth more for each attempt (docs/performance).
DIAL_BATCH = 100


def ring_dispatch(account_ids: Iterable[int]) -> None:
    for account_id in account_ids:
        if _first_to_ring(f"dispatch:{account_id}", UNANSWERED_MS):
            ring("dialer.dispatch", account_id)


def ring_dispatch_later(account_id: int, seconds: float) -> None:
    """For the next start that the account's pace allows; below a second, as the tick is there beyond."""
    if _first_to_ring(f"pace:{account_id}", max(1, int(seconds * 1000))):
        ring("dialer.dispatch", account_id, countdown=seconds)


def ring_settle() -> None:
    ring_once("settle", "dialer.settle")


def ring_once(bell: str, task: str) -> None:
    """Sends the task, unless the bell has been rung and not yet answered."""
    if _first_to_ring(bell, UNANSWERED_MS):
        ring(task)


def ring_dial(attempts: Iterable[tuple[UUID, int, str]]) -> None:
    """attempts: the id of each, its trunk's, and its number, which is shown, masked, to the people who watch the tasks.

    Each message is of one trunk, so that a slow one holds up no others.
    """
    by_trunk: dict[int, list[tuple[UUID, str]]] = defaultdict(list)
    for attempt_id, trunk_id, number in attempts:
        by_trunk[trunk_id].append((attempt_id, number))
    for trunk_attempts in by_trunk.values():
        for start in range(0, len(trunk_attempts), DIAL_BATCH):
            _ring_dialer(trunk_attempts[start : start + DIAL_BATCH])


def _ring_dialer(batch: Sequence[tuple[UUID, str]]) -> None:
    shown = ", ".join(masked(number) for _, number in batch[:3])
    more = f" and {len(batch) - 3} more" if len(batch) > 3 else ""
    ring(
        "dialer.dial",
        [attempt_id.hex for attempt_id, _ in batch],
        argsrepr=f"({len(batch)} attempts: {shown}{more})",
    )


def answer(bell: str) -> None:
    """Call before looking for work."""
    try:
        redis_client().delete(f"doorbell:{bell}")
    except RedisError as error:
        log.warning("doorbell_not_answered", bell=bell, error=str(error))


def _first_to_ring(bell: str, unanswered_ms: int) -> bool:
    try:
        return bool(redis_client().set(f"doorbell:{bell}", 1, nx=True, px=unanswered_ms))
    except RedisError as error:
        log.warning("doorbell_not_rung", bell=bell, error=str(error))
        return False
