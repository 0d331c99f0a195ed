"""Periodic tasks of the API."""

from celery import shared_task

from api.http import idempotency
from core import clocks


@shared_task(name="api.purge_idempotency_keys")
def purge_idempotency_keys() -> None:
    while idempotency.purge(clocks.now()):
        pass
