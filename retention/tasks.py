from celery import shared_task

from core import clocks, slices
from retention import campaigns_due, purge

PURGE = "retention.purge"


@shared_task(name=PURGE)
def purge_campaigns() -> None:
    slices.take_turn(PURGE, purge.slices(campaigns_due.end_before(clocks.now())))
