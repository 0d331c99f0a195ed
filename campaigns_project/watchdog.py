"""Ends a worker that is alive and takes no tasks any more, so that whoever supervises it starts another.

Over Redis a Celery worker may come out of a lost connection as a process that consumes nothing, or hang in a shutdown
that an error of its library began: `make chaos` finds both when Redis restarts. Beat sees to it that every queue always
has something to take, so a worker that takes nothing while beat ticks and Redis answers will never take anything again.
"""

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import psutil
import structlog
from celery.signals import celeryd_after_setup, task_received
from django.conf import settings
from redis.exceptions import RedisError

from core import liveness

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0

_received_at = time.monotonic()


@task_received.connect
def _note_task(**_: Any) -> None:
    global _received_at
    _received_at = time.monotonic()


@celeryd_after_setup.connect
def _watch(instance: Any = None, **_: Any) -> None:
    queues = list(instance.app.amqp.queues.consume_from)
    silence = max(settings.MAX_SILENCE_SECONDS[queue] for queue in queues if queue in settings.MAX_SILENCE_SECONDS)
    threading.Thread(target=_look, args=(max(30.0, silence),), daemon=True, name="watchdog").start()


def _look(max_silence: float) -> None:
    """End the worker after max_silence seconds without a task: by then only a fault explains it."""
    there_since: float | None = None
    while True:
        time.sleep(LOOK_SECONDS)
        # Only time in which there was something to take counts.
        there_since = (there_since or time.monotonic()) if _has_work() else None
        if there_since and time.monotonic() - max(there_since, _received_at) > max_silence:
            log.critical("worker_takes_no_tasks", seconds=round(time.monotonic() - _received_at))
            _end()


def _has_work() -> bool:
    """Whether Redis answers and beat ticks."""
    try:
        return not liveness.problem(liveness.BEAT)
    except RedisError:
        return False


def _end() -> None:
    """With the pool's processes, which would go on without a parent. At once: a shutdown is what may hang."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
