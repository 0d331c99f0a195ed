"""Enqueue Celery tasks. A message is only a hint to look for work: a lost one costs the time until beat's next tick.

`enqueue_once` keeps many events from becoming many messages. A key in Redis says that a message is enqueued and no
worker has taken it yet. The worker deletes the key before it looks for work (`taken`), so an event that arrives
meanwhile leads to another look. A lost message costs at most a second: the key expires by then.
"""

from typing import Any

import structlog
from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from core.redis_client import redis_client

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
    """Enqueue the task, unless a message under this key is still waiting for a worker."""
    if _is_first(key, waiting_ms):
        enqueue(task, *args, countdown=countdown, **options)


def taken(key: str) -> None:
    """Note that a worker has taken the message of this key. Call it before looking for work."""
    try:
        redis_client().delete(f"enqueued:{key}")
    except RedisError as error:
        log.warning("task_not_noted_as_taken", key=key, error=str(error))


def _is_first(key: str, waiting_ms: int) -> bool:
    try:
        return bool(redis_client().set(f"enqueued:{key}", 1, nx=True, px=waiting_ms))
    except RedisError as error:
        log.warning("task_not_enqueued", key=key, error=str(error))
        return False
