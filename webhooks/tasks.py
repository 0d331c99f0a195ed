"""The Celery tasks of webhooks, sent by beat and when webhooks are added. Each calls one function."""

from celery import shared_task

from core import clocks, task_queue
from webhooks import delivery, outbox


@shared_task(name=outbox.DELIVER)
def deliver_webhooks() -> None:
    task_queue.taken(outbox.DELIVER)
    delivery.deliver_due(hand_over=outbox.enqueue_delivery)


@shared_task(name="webhooks.purge")
def purge_webhooks() -> None:
    while outbox.purge(clocks.now()):
        pass
