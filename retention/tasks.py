from collections.abc import Iterator
from itertools import chain

from celery import shared_task

from core import clocks, slices
from retention import campaigns_due, old_recordings, purge

PURGE = "retention.purge"


@shared_task(name=PURGE)
def purge_campaigns() -> None:
    now = clocks.now()
    due: Iterator[object] = chain(old_recordings.slices(now), purge.slices(campaigns_due.end_before(now)))
    slices.take_turn(PURGE, due)
