"""The Celery tasks of webhooks, sent by beat and when webhooks are added. Each calls one function."""

from functools import partial

from celery import shared_task

from core import clocks, slices, task_queue
from webhooks import delivery, outbox

PURGE = "webhooks.purge"


@shared_task(name=outbox.DELIVER)
def deliver_webhooks() -> None:
    task_queue.taken(outbox.DELIVER)
    delivery.deliver_due(hand_over=outbox.enqueue_delivery)


@shared_task(name=PURGE)
def purge_webhooks() -> None:
    slices.take_turn(PURGE, iter(partial(outbox.purge, clocks.now()), 0))
