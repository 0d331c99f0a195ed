"""The periodic tasks of campaigns. Each one calls a function that looks up what is due through an index."""

from collections.abc import Sequence
from datetime import timedelta

from celery import shared_task

from campaigns import ending, held_calls, loading, progress, schedule
from campaigns.loading import START_DUE
from core import clocks
from core.task_queue import enqueue, taken

# How far to look ahead. Beat ticks once a second; a start between two ticks gets a message of its own.
TICK = timedelta(seconds=1.5)


@shared_task(name=START_DUE)
def start_due() -> None:
    """Start campaigns whose time has come, and enqueue this task again for a start before the next tick."""
    now = clocks.now()
    schedule.start_due(now)
    upcoming = schedule.next_start(now, within=TICK)
    if upcoming:
        enqueue(START_DUE, countdown=(upcoming - clocks.now()).total_seconds())


@shared_task(name=ending.END_DUE)
def end_due() -> None:
    """End what has reached its end, and enqueue this task again while there is more. Others have their turn between."""
    taken(ending.END_DUE)
    if schedule.end_due(clocks.now()):
        ending.enqueue_turn()


@shared_task(name=loading.LOAD)
def load_audiences() -> None:
    """Take a turn, and enqueue this task again while there are more. What else the loader does comes between them."""
    taken(loading.LOAD)
    if loading.take_turn(loading.TURN_SECONDS):
        loading.enqueue_turn()


@shared_task(name="campaigns.compact_tally")
def compact_tally() -> None:
    progress.compact()


@shared_task(name=held_calls.RELEASE)
def release_held(account_id: int, numbers: Sequence[str] | None = None) -> None:
    held_calls.release(account_id, clocks.now(), numbers)
