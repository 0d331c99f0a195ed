"""Beat's ticks for campaigns, each an indexed look at what is due; and the loading of CSV files."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from campaigns import progress, schedule
from campaigns.lifecycle import START_DUE
from core.task_queue import enqueue

# Beat ticks once a second; a start that falls between two ticks gets a doorbell of its own.
TICK = timedelta(seconds=1.5)


@shared_task(name=START_DUE)
def start_due() -> None:
    now = timezone.now()
    schedule.start_due(now)
    upcoming = schedule.next_start(now, within=TICK)
    if upcoming:
        enqueue(START_DUE, countdown=(upcoming - timezone.now()).total_seconds())


@shared_task(name="campaigns.end_due")
def end_due() -> None:
    schedule.end_due(timezone.now())


@shared_task(name="campaigns.compact_tally")
def compact_tally() -> None:
    progress.compact()
