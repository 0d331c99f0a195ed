"""Enqueue Celery tasks. A message is only a hint to look for work: a lost one costs the time until beat's next tick.

`enqueue_once` keeps many events from becoming many messages. A key in Redis says that a message is enqueued and no
worker has taken it yet. The worker deletes the key before it looks for work (`taken`), so an event that arrives
meanwhile leads to another look. A lost message costs at most a second: the key expires by then.

While no worker takes messages, none are added: they would fill the memory of Redis, and beat sends a tick as soon as
one does (`campaigns_project.beat`).
"""

from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from core.broker_queues import queue_of
from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

# A message that has waited longer is of no use: a later tick has replaced it.
EXPIRES_SECONDS = 30
# How long a message counts as waiting when no worker takes it, in milliseconds. Beat ticks as often.
WAITING_MS = 1000


def enqueue(task: str, *args: Any, countdown: float = 0, **options: Any) -> None:
    """Enqueue the task of that name, to run `countdown` seconds from now (below a minute).

    An absent broker is logged, never raised.
    """
    try:
        current_app.send_task(
            task, args=args, countdown=countdown or None, expires=countdown + EXPIRES_SECONDS, retry=False, **options
        )
    except (OperationalError, RedisError, OSError) as error:
        log.warning("task_not_enqueued", task=task, error=str(error))


def enqueue_once(
    key: str, task: str, *args: Any, countdown: float = 0, waiting_ms: int = WAITING_MS, **options: Any
) -> None:
    """Enqueue the task, unless a message under this key is still waiting for a worker, or no worker takes any."""
    if _is_first(key, queue_of(task), waiting_ms):
        enqueue(task, *args, countdown=countdown, **options)


def taken(key: str) -> None:
    """Note that a worker has taken the message of this key. Call it before looking for work."""
    try:
        redis_client().delete(prefixed(f"enqueued:{key}"))
    except RedisError as error:
        log.warning("task_not_noted_as_taken", key=key, error=str(error))


def _is_first(key: str, queue: str, waiting_ms: int) -> bool:
    keys = prefixed(f"enqueued:{key}"), prefixed(f"progress:{queue}")
    try:
        return bool(redis_client().eval(_TAKE_TURN, 2, *keys, waiting_ms, settings.MAX_SILENCE_SECONDS[queue]))
    except RedisError as error:
        log.warning("task_not_enqueued", key=key, error=str(error))
        return False


# Keys: that of the message, and the last progress of the queue's workers (`core.liveness`). Arguments: how long the
# message counts as waiting, in milliseconds; after how many seconds without progress no worker is at work.
_TAKE_TURN = """
local noted = redis.call('GET', KEYS[2])
if noted and redis.call('TIME')[1] - noted >= tonumber(ARGV[2]) then return 0 end
return redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) and 1 or 0
"""
