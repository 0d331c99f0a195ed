"""The tasks of the webhooks: beat's ticks and the doorbell. Each calls one function, and the rules live there."""

from celery import shared_task
from django.utils import timezone

from core import task_queue
from webhooks import delivery, outbox


@shared_task(name=outbox.TASK)
def deliver_webhooks() -> None:
    task_queue.taken(outbox.BELL)
    if delivery.deliver_due():
        task_queue.enqueue_once(outbox.BELL, outbox.TASK)


@shared_task(name="webhooks.purge")
def purge_webhooks() -> None:
    while outbox.purge(timezone.now()):
        pass
