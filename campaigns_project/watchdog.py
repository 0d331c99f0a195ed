"""End a worker that is alive but takes no tasks any more, so that its supervisor starts another.

Over Redis a Celery worker may come out of a lost connection as a process that consumes nothing, or hang in a shutdown
that an error of its library has begun; `make chaos` meets both when Redis restarts. A worker that takes nothing while
messages wait will not recover.

An idle worker is not a stuck one. Beat's ticks make sure that every queue always has something to take, but many
workers share them: among a hundred, each has a tick of the dial queue every eight minutes. And while the broker is away
nobody can take anything.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil
import structlog
from celery.signals import celeryd_after_setup, task_received
from django.conf import settings
from redis.exceptions import RedisError

from core import broker_queues, liveness

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
# A worker may be silent for at least this long, in seconds, whatever its queue. When the broker comes back after
# minutes, Celery tries again after 30 s, and may wait for two seconds more until it is connected.
LEAST_SILENCE_SECONDS = 45.0

_received_at = time.monotonic()


@task_received.connect
def _record_task(**_: Any) -> None:
    global _received_at
    _received_at = time.monotonic()


@celeryd_after_setup.connect
def _start(instance: Any = None, **_: Any) -> None:
    queues = [queue for queue in instance.app.amqp.queues.consume_from if queue in settings.MAX_SILENCE_SECONDS]
    max_silence = max(LEAST_SILENCE_SECONDS, *(settings.MAX_SILENCE_SECONDS[queue] for queue in queues))
    threading.Thread(target=_watch, args=(queues, max_silence), daemon=True, name="watchdog").start()


def _watch(queues: Sequence[str], max_silence: float) -> None:
    """End the worker after max_silence seconds without a task though some waited: by then only a fault explains it.

    Others may leave none waiting. Each of them has two ticks or more within max_silence times half their number.
    """
    waiting_since: float | None = None
    shared_since: float | None = None
    while True:
        time.sleep(CHECK_SECONDS)
        now = time.monotonic()
        workers = _workers(queues)
        waiting_since = (waiting_since or now) if _is_work_waiting(queues) else None
        shared_since = (shared_since or now) if workers else None
        for since, patience in ((waiting_since, max_silence), (shared_since, max_silence * max(1, workers / 2))):
            if since and now - max(since, _received_at) > patience:
                log.critical("worker_takes_no_tasks", seconds=round(now - _received_at))
                end_process()


def _is_work_waiting(queues: Sequence[str]) -> bool:
    """Return whether messages wait in its queues; False while it takes some, or while the broker is away."""
    if time.monotonic() - _received_at < CHECK_SECONDS:
        return False
    try:
        return any(broker_queues.waiting(queue) for queue in queues)
    except Exception as error:  # noqa: BLE001 -- whatever the broker's client raises
        log.debug("queue_not_counted", error=str(error))  # Celery tells of its broker itself
        return False


def _workers(queues: Sequence[str]) -> int:
    """Return how many workers share the ticks of these queues; 0 while beat sends none, or Redis does not reply."""
    try:
        name = f"{socket.gethostname()}:{os.getpid()}"
        workers = max((liveness.count_worker(queue, name) for queue in queues), default=0)
        return 0 if liveness.problem(liveness.BEAT) else workers
    except RedisError:
        return 0


def end_process() -> None:
    """Kill this process, and first those of its pool, which would go on without a parent.

    No orderly shutdown: that is what may hang.
    """
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
