"""The tasks of the webhooks: beat's ticks and the doorbell. Each calls one function, and the rules live there."""

from celery import shared_task
from django.utils import timezone

from core import task_queue
from reports import webhook_delivery, webhook_outbox


@shared_task(name=webhook_outbox.TASK)
def deliver_webhooks() -> None:
    task_queue.taken(webhook_outbox.BELL)
    if webhook_delivery.deliver_due():
        task_queue.enqueue_once(webhook_outbox.BELL, webhook_outbox.TASK)


@shared_task(name="reports.purge_webhooks")
def purge_webhooks() -> None:
    while webhook_outbox.purge(timezone.now()):
        pass
