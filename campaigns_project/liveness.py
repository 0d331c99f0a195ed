"""Notes, in Redis, when beat last sent its tick and when a worker last ran it; `/readyz` reads the notes."""

import time
from typing import Any

import structlog
from celery.signals import beat_init, before_task_publish, task_prerun
from redis.exceptions import RedisError

from dialer.redis_client import redis_client

log = structlog.get_logger(__name__)

TICK = "dialer.dispatch_due"


def last_progress(who: str) -> float | None:
    """Unix time in seconds; None where nothing was noted since Redis last lost its memory."""
    noted = redis_client().get(f"progress:{who}")
    return None if noted is None else float(noted)


def _note(who: str) -> None:
    try:
        redis_client().set(f"progress:{who}", time.time())
    except RedisError as error:
        log.warning("progress_not_noted", who=who, error=str(error))


@beat_init.connect
def _beat_notes_its_ticks(**_: Any) -> None:
    """In beat's process alone: every tick that it sends is progress."""

    def note(sender: str = "", **_: Any) -> None:
        if sender == TICK:
            _note("beat")

    before_task_publish.connect(note, weak=False)


@task_prerun.connect
def _worker_notes_its_ticks(task: Any = None, **_: Any) -> None:
    if task is not None and task.name == TICK:
        _note("worker")
