"""Note in Redis when beat last sent a message, when a worker of each queue last took a task, and that events are taken.

A worker that is connected but no longer consumes is a known state of Celery over Redis, so progress is what counts.
Beat's ticks make sure that every queue always has something to take. A worker goes by the name of its queue; how long
each may be silent is settings.MAX_SILENCE_SECONDS. Read by `/readyz`, `/metrics`, the diagnosis and the watchdog. The
times are Redis's own, because the clocks of the machines may differ.
"""

import time
from typing import Any

import structlog
from celery.signals import after_task_publish, beat_init, task_postrun, task_prerun, worker_ready
from django.conf import settings
from redis.exceptions import RedisError

from core import clock_offsets
from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

BEAT = "beat"
EVENTS = "events"
# The sweeps of recovery: each step of one, and its end.
RECOVERY = "recovery"

# A busy worker takes hundreds of tasks a second; one note a second is enough.
NOTE_EVERY_SECONDS = 1

_NOTE = """
local time = redis.call('TIME')
return redis.call('SET', KEYS[1], string.format('%d.%06d', time[1], time[2]))
"""

# A worker that has not been counted for so long, in seconds, has ended.
WORKER_LIFETIME = 30

_COUNT = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""

_noted_at: dict[str, float] = {}


def seconds_since(who: str) -> float | None:
    """Return the seconds since the last progress of beat or of a queue's workers; None where none is noted in Redis."""
    pipe = redis_client().pipeline(transaction=False)
    pipe.get(prefixed(f"progress:{who}"))
    pipe.time()
    noted, (seconds, microseconds) = pipe.execute()
    return None if noted is None else max(0.0, seconds + microseconds / 1e6 - float(noted))


def problem(who: str) -> str:
    """Return the problem, such as `no progress for 40 s`; "" when there is none."""
    silent = seconds_since(who)
    if silent is None:
        return "no progress yet"
    return f"no progress for {silent:.0f} s" if silent >= settings.MAX_SILENCE_SECONDS[who] else ""


def count_worker(queue: str, worker: str) -> int:
    """Count the worker of that name among those of the queue. Returns how many there are."""
    return int(redis_client().eval(_COUNT, 1, prefixed(f"workers:{queue}"), worker, WORKER_LIFETIME))


def workers(queue: str) -> list[str]:
    """Return the names of the queue's workers that were counted lately. Raises RedisError."""
    redis = redis_client()
    now, _ = redis.time()
    return [str(name) for name in redis.zrangebyscore(prefixed(f"workers:{queue}"), now - WORKER_LIFETIME, "+inf")]


def note(who: str) -> None:
    """Note progress, at most once a second in each process. An absent Redis is logged, never raised."""
    now = time.monotonic()
    if now - _noted_at.get(who, -NOTE_EVERY_SECONDS) < NOTE_EVERY_SECONDS:
        return
    _noted_at[who] = now
    try:
        redis_client().eval(_NOTE, 1, prefixed(f"progress:{who}"))
        clock_offsets.note(who)
    except RedisError as error:
        log.warning("progress_not_noted", who=who, error=str(error))


@beat_init.connect
def _beat_notes_its_ticks(**_: Any) -> None:
    """Count every message that the broker took from beat as progress; connected in beat's process alone."""
    after_task_publish.connect(_note_tick)


def _note_tick(**_: Any) -> None:
    """Note a tick after it was sent: while RabbitMQ is away none is, and no worker is to blame for taking none."""
    note(BEAT)


@worker_ready.connect
def _worker_notes_its_start(sender: Any = None, **_: Any) -> None:
    """Count the start as progress, so that a server is ready as soon as its processes are."""
    for queue in sender.app.amqp.queues.consume_from:
        _note_queue(queue)


@task_prerun.connect
@task_postrun.connect
def _worker_notes_its_tasks(task: Any = None, **_: Any) -> None:
    """Count the end of a task too: while all threads wait for a silent carrier, none begins."""
    if task is not None:
        _note_queue((task.request.delivery_info or {}).get("routing_key"))


def _note_queue(queue: str | None) -> None:
    if queue in settings.MAX_SILENCE_SECONDS:
        note(queue)
