"""Periodic tasks of the API."""

from functools import partial

from celery import shared_task

from api.http import old_responses
from core import clocks, slices

PURGE_KEYS = "api.purge_idempotency_keys"


@shared_task(name=PURGE_KEYS)
def purge_idempotency_keys() -> None:
    slices.take_turn(PURGE_KEYS, iter(partial(old_responses.purge, clocks.now()), 0))
