"""A task that notes which message it was and in which process it ran, for workers that tests start."""

import os

from celery import shared_task

from core.redis_client import redis_client

RAN = "test:ran"


@shared_task(name="tests.note")
def note(message: int) -> None:
    redis_client().rpush(RAN, f"{message} {os.getpid()}")
