"""Doorbells of the dialer, each rung once however many hands press it.

A key in Redis says that the bell has been rung and not yet answered. Who answers forgets the key first and looks
second, so a ring that comes during the work leads to another look. A lost message costs at most a second: the key
expires, and beat's tick rings anyway.
"""

from collections.abc import Iterable
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
DIAL_BATCH = 50


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


def ring_dial(attempts: dict[UUID, str]) -> None:
    """attempts: the number to dial by attempt id. The numbers are only for the people who watch the tasks, masked."""
    ids = list(attempts)
    for start in range(0, len(ids), DIAL_BATCH):
        batch = ids[start : start + DIAL_BATCH]
        shown = ", ".join(masked(attempts[attempt_id]) for attempt_id in batch[:3])
        more = f" and {len(batch) - 3} more" if len(batch) > 3 else ""
        ring(
            "dialer.dial",
            [attempt_id.hex for attempt_id in batch],
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
