"""End a worker that is alive but takes no tasks any more, so that its supervisor starts another.

Over Redis a Celery worker may come out of a lost connection as a process that consumes nothing, or hang in a shutdown
that an error of its library has begun; `make chaos` meets both when Redis restarts. Beat's ticks make sure that every
queue always has something to take. So a worker that takes nothing while beat ticks and Redis replies will not recover.
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

CHECK_SECONDS = 5.0
# A worker may be silent for at least this long, in seconds, whatever its queue: a restart of Redis takes a while.
LEAST_SILENCE_SECONDS = 30.0

_received_at = time.monotonic()


@task_received.connect
def _record_task(**_: Any) -> None:
    global _received_at
    _received_at = time.monotonic()


@celeryd_after_setup.connect
def _start(instance: Any = None, **_: Any) -> None:
    queues = list(instance.app.amqp.queues.consume_from)
    silences = [settings.MAX_SILENCE_SECONDS[queue] for queue in queues if queue in settings.MAX_SILENCE_SECONDS]
    max_silence = max(LEAST_SILENCE_SECONDS, *silences)
    threading.Thread(target=_watch, args=(max_silence,), daemon=True, name="watchdog").start()


def _watch(max_silence: float) -> None:
    """End the worker after max_silence seconds without a task: by then only a fault explains it."""
    work_since: float | None = None
    while True:
        time.sleep(CHECK_SECONDS)
        # Only time in which there was something to take counts.
        work_since = (work_since or time.monotonic()) if _has_work() else None
        if work_since and time.monotonic() - max(work_since, _received_at) > max_silence:
            log.critical("worker_takes_no_tasks", seconds=round(time.monotonic() - _received_at))
            end_process()


def _has_work() -> bool:
    """Return whether Redis replies and beat ticks."""
    try:
        return not liveness.problem(liveness.BEAT)
    except RedisError:
        return False


def end_process() -> None:
    """Kill this process, and first those of its pool, which would go on without a parent.

    No orderly shutdown: that is what may hang.
    """
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
