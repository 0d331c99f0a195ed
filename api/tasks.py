"""Periodic tasks of the API."""

from celery import shared_task
from django.utils import timezone

from api.http import idempotency


@shared_task(name="api.purge_idempotency_keys")
def purge_idempotency_keys() -> None:
    while idempotency.purge(timezone.now()):
        pass
