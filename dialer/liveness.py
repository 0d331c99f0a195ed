"""Notes, in Redis, when beat last sent its tick and when a worker of each kind last took a task from its queue.

A worker that is connected but no longer consumes is a known state of Celery over Redis, so progress is what counts, and
beat's ticks see to it that there is always something to take. Read by `/readyz`, `/metrics` and `diagnosis`.
"""

import time
from typing import Any

import structlog
from celery.signals import beat_init, before_task_publish, task_postrun, task_prerun, worker_ready
from redis.exceptions import RedisError

from dialer.redis_client import redis_client

log = structlog.get_logger(__name__)

TICK = "dialer.dispatch_due"
BEAT = "beat"
# The processes of the Procfile, by the queue that they take their tasks from.
WORKERS = {"control": "worker", "dial": "dialer", "webhooks": "notifier", "load": "loader"}

# For how long each may be silent, in seconds. Beat and the control queue tick once a second: ten missed ticks are no
# accident. A dialer is as long at one batch as a silent carrier keeps it, and a notifier as its receivers do; a loader
# takes one file at a time, which is about a minute for the largest.
PATIENCE = {BEAT: 10, "worker": 10, "dialer": 60, "notifier": 120, "loader": 180}

# A busy worker takes hundreds of tasks a second; a note a second is as good.
NOTE_EVERY_SECONDS = 1

_noted_at: dict[str, float] = {}


def seconds_since(who: str) -> float | None:
    """Since the last progress of beat or of a kind of worker; None where none was noted since Redis lost its memory."""
    noted = redis_client().get(f"progress:{who}")
    return None if noted is None else max(0.0, time.time() - float(noted))


def trouble(who: str) -> str:
    """What is wrong with it, such as `no progress for 40 s`; "" when nothing is."""
    silent = seconds_since(who)
    if silent is None:
        return "no progress yet"
    return f"no progress for {silent:.0f} s" if silent >= PATIENCE[who] else ""


def note(who: str) -> None:
    """Notes progress, at most once a second in each process."""
    now = time.monotonic()
    if now - _noted_at.get(who, -NOTE_EVERY_SECONDS) < NOTE_EVERY_SECONDS:
        return
    _noted_at[who] = now
    try:
        redis_client().set(f"progress:{who}", time.time())
    except RedisError as error:
        log.warning("progress_not_noted", who=who, error=str(error))


@beat_init.connect
def _beat_notes_its_ticks(**_: Any) -> None:
    """In beat's process alone: every tick that it sends is progress."""

    def note_tick(sender: str = "", **_: Any) -> None:
        if sender == TICK:
            note(BEAT)

    before_task_publish.connect(note_tick, weak=False)


@worker_ready.connect
def _worker_notes_its_start(sender: Any = None, **_: Any) -> None:
    """From here on it consumes, so that a server is ready as soon as its processes are."""
    for queue in sender.app.amqp.queues.consume_from:
        _note_queue(queue)


@task_prerun.connect
@task_postrun.connect
def _worker_notes_its_tasks(task: Any = None, **_: Any) -> None:
    """At the end of a task too: while all threads wait for a silent carrier, none begins."""
    if task is not None:
        _note_queue((task.request.delivery_info or {}).get("routing_key"))


def _note_queue(queue: str | None) -> None:
    if who := WORKERS.get(queue or ""):
        note(who)
