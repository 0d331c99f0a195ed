"""The dialer's messages to its workers: dispatch an account, dial a batch of attempts, settle the inbox."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from contacts.numbers import masked
from core import staying
from core.task_queue import at_work, at_work_at_once, enqueue, enqueue_once

# Calls of one batch are placed at the same time by one thread of a dialer, so a batch is also its burst of connections.
# Smaller batches cost more: at 50, a tenth more for each attempt (docs/operator/performance).
DIAL_BATCH = 100
# How often another worker is asked to settle beside those at work, in milliseconds: about what a full batch takes.
BESIDE_MS = 100


def enqueue_dispatch(account_ids: Iterable[int]) -> None:
    """Enqueue one dispatch for each account that has none waiting, and no worker at work."""
    for account_id in account_ids:
        enqueue_once(f"dispatch:{account_id}", "dialer.dispatch", account_id)


def enqueue_dispatch_later(account_id: int, seconds: float) -> None:
    """Enqueue a dispatch for the next start that the account's pace allows. seconds: below 1; beat ticks after that."""
    waiting_ms = max(1, int(seconds * 1000))
    enqueue_once(f"pace:{account_id}", "dialer.dispatch", account_id, countdown=seconds, waiting_ms=waiting_ms)


def dispatch_at_work(account_id: int, look: Callable[[], object]) -> None:
    """Look for the account's calls, and again for what has come meanwhile."""
    at_work(f"dispatch:{account_id}", look, enqueue_again=partial(enqueue_dispatch, [account_id]))


def dispatch_at_once(account_id: int, look: Callable[[], object]) -> None:
    """Look for the account's calls here and now, where a message would be sent to a worker."""
    enqueue_again = partial(enqueue_dispatch, [account_id])
    at_work_at_once(f"dispatch:{account_id}", "dialer.dispatch", look, enqueue_again=enqueue_again)


def tell_of_freed(channels: Mapping[int, int]) -> None:
    """Let accounts dispatch now instead of at the next tick. channels: that were freed, by account."""
    if (freed := _here.freed) is None:
        enqueue_dispatch(channels)
    else:
        freed.update(channels)


@contextmanager
def gathering_freed() -> Iterator[Counter[int]]:
    """Gather what this thread tells of within the block, for its caller to dispatch. Where it fails, messages are sent.

    Yields:
        The channels that were freed, by account.
    """
    _here.freed = freed = Counter[int]()
    try:
        yield freed
    except BaseException:
        enqueue_dispatch(freed)
        raise
    finally:
        _here.freed = None


class _Here(threading.local):
    freed: Counter[int] | None = None


_here = _Here()


def enqueue_settle() -> None:
    """Enqueue the settling of the inbox, unless a message for that is waiting or a worker at work."""
    enqueue_once("settle", "dialer.settle")


def settle_at_work(look: Callable[[], object]) -> None:
    """Settle the inbox, and again what has come meanwhile."""
    at_work("settle", look, enqueue_again=enqueue_settle, seconds=staying.SECONDS)


def enqueue_settle_beside() -> None:
    """Enqueue the settling of the inbox beside a worker that is at work: there is more than it settles at once."""
    enqueue_once("settle-beside", "dialer.settle", waiting_ms=BESIDE_MS)


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
    ids = [attempt_id.hex for attempt_id, _ in batch]
    if staying.hand("dialer.dial", ids):
        return
    shown = ", ".join(masked(number) for _, number in batch[:3])
    more = f" and {len(batch) - 3} more" if len(batch) > 3 else ""
    enqueue(
        "dialer.dial",
        ids,
        argsrepr=f"({len(batch)} attempts: {shown}{more})",
    )
