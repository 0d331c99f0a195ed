"""The periodic tasks of campaigns. Each one calls a function that looks up what is due through an index."""

from datetime import timedelta

from celery import shared_task

from campaigns import progress, schedule
from campaigns.lifecycle import START_DUE
from core import clocks
from core.task_queue import enqueue

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


@shared_task(name="campaigns.end_due")
def end_due() -> None:
    schedule.end_due(clocks.now())


@shared_task(name="campaigns.compact_tally")
def compact_tally() -> None:
    progress.compact()
