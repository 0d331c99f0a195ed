"""The dialer's messages to its workers: dispatch an account, dial a batch of attempts, settle the inbox."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from contacts.numbers import masked
from core.task_queue import enqueue, enqueue_once, taken

# Calls of one batch are placed at the same time by one thread of a dialer, so a batch is also its burst of connections.
# Smaller batches cost more: at 50, a tenth more for each attempt (docs/operator/performance).
DIAL_BATCH = 100


def enqueue_dispatch(account_ids: Iterable[int]) -> None:
    """Enqueue one dispatch for each account that has none waiting."""
    for account_id in account_ids:
        enqueue_once(f"dispatch:{account_id}", "dialer.dispatch", account_id)


def enqueue_dispatch_later(account_id: int, seconds: float) -> None:
    """Enqueue a dispatch for the next start that the account's pace allows. seconds: below 1; beat ticks after that."""
    waiting_ms = max(1, int(seconds * 1000))
    enqueue_once(f"pace:{account_id}", "dialer.dispatch", account_id, countdown=seconds, waiting_ms=waiting_ms)


def dispatch_taken(account_id: int) -> None:
    """Note that a worker has taken the account's dispatch message."""
    taken(f"dispatch:{account_id}")


def enqueue_settle() -> None:
    """Enqueue the settling of the inbox, unless a message for that is waiting."""
    enqueue_once("settle", "dialer.settle")


def settle_taken() -> None:
    """Note that a worker has taken the settle message."""
    taken("settle")


def enqueue_dial(attempts: Iterable[tuple[UUID, int, str]]) -> None:
    """Enqueue attempts for the dialers, in batches of one trunk each, so that a slow trunk holds up no others.

    Args:
        attempts: (attempt id, trunk id, number); people who watch the tasks see the number masked.
    """
    by_trunk: dict[int, list[tuple[UUID, str]]] = defaultdict(list)
    for attempt_id, trunk_id, number in attempts:
        by_trunk[trunk_id].append((attempt_id, number))
    for trunk_attempts in by_trunk.values():
        for start in range(0, len(trunk_attempts), DIAL_BATCH):
            _enqueue_batch(trunk_attempts[start : start + DIAL_BATCH])


def _enqueue_batch(batch: Sequence[tuple[UUID, str]]) -> None:
    shown = ", ".join(masked(number) for _, number in batch[:3])
    more = f" and {len(batch) - 3} more" if len(batch) > 3 else ""
    enqueue(
        "dialer.dial",
        [attempt_id.hex for attempt_id, _ in batch],
        argsrepr=f"({len(batch)} attempts: {shown}{more})",
    )
