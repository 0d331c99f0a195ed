"""Enqueue Celery tasks. A message is only a hint to look for work: a lost one costs the time until beat's next tick.

`enqueue_once` keeps many events from becoming many messages. A key in Redis says that a message is enqueued and no
worker has taken it yet. The worker deletes the key before it looks for work (`taken`), so an event that arrives
meanwhile leads to another look. A lost message costs at most a second: the key expires by then.

A busy task goes further (`at_work`): while a worker is at work for a key, an event adds no message. It is noted in the
key, and the worker looks once more when it has done. The worker may die, so this too holds for a second at most.

While no worker takes messages, none are added: they would fill the memory of Redis, and beat sends a tick as soon as
one does (`campaigns_project.beat`).
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from core import staying
from core.broker_queues import queue_of
from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

# A message that has waited longer is of no use: a later tick has replaced it.
EXPIRES_SECONDS = 30
# How long a message counts as waiting when no worker takes it, and a worker as at work, in milliseconds. Beat ticks as
# often.
WAITING_MS = 1000
# How often a worker looks again for what came while it was at work, before it leaves the rest to a message. Other tasks
# of its queue wait meanwhile.
LOOKS_IN_A_ROW = 2

# What the key of a message says.
_WAITING, _AT_WORK, _LOOK_AGAIN = "waiting", "at work", "look again"


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
    """Enqueue the task, unless a message under this key waits for a worker, or one is at work, or no worker takes any.

    One that is at work (`at_work`) looks once more instead, and so does one that stays.
    """
    if _is_first(key, task, waiting_ms, _WAITING, args if not countdown else None):
        enqueue(task, *args, countdown=countdown, **options)


def taken(key: str) -> None:
    """Note that a worker has taken the message of this key. Call it before looking for work."""
    try:
        redis_client().delete(_name(key))
    except RedisError as error:
        log.warning("task_not_noted_as_taken", key=key, error=str(error))


def at_work(key: str, look: Callable[[], object], *, enqueue_again: Callable[[], object], seconds: float = 0) -> None:
    """Look for work, and look again while events under this key have come meanwhile: they add no message.

    Two workers may be at work for a key, as ticks come without one. Each empties the key when it has done, so an
    event is seen by a look that begins after it, whichever worker makes it.

    Args:
        look: handles what there is.
        enqueue_again: called after LOOKS_IN_A_ROW, where events still come.
        seconds: for which to go on looking then.
    """
    until, looks = time.monotonic() + seconds, 0
    while looks < LOOKS_IN_A_ROW or time.monotonic() < until:
        _note_at_work(key)
        if not _look(key, look):
            return
        looks += 1
    enqueue_again()


def at_work_at_once(key: str, task: str, look: Callable[[], object], *, enqueue_again: Callable[[], object]) -> None:
    """Look for work once, in place of a worker that a message would be sent to.

    Where `enqueue_once` would send none, nobody looks here either.
    """
    if _is_first(key, task, WAITING_MS, _AT_WORK) and _look(key, look):
        enqueue_again()


def _look(key: str, look: Callable[[], object]) -> bool:
    """Look for work; returns whether to look again."""
    try:
        look()
    finally:
        is_to_look_again = _is_to_look_again(key)
    return is_to_look_again


def _note_at_work(key: str) -> None:
    try:
        redis_client().set(_name(key), _AT_WORK, px=WAITING_MS)
    except RedisError as error:
        log.warning("task_not_noted_as_taken", key=key, error=str(error))


def _is_to_look_again(key: str) -> bool:
    """Empty the key; returns whether something came, or may have: it has expired, or another worker emptied it."""
    try:
        return redis_client().getdel(_name(key)) in {_LOOK_AGAIN, None}
    except RedisError as error:
        log.warning("task_not_noted_as_done", key=key, error=str(error))
        return False


def _name(key: str) -> str:
    return prefixed(f"enqueued:{key}")


def _is_first(key: str, task: str, kept_ms: int, state: str, work: Sequence[Any] | None = None) -> bool:
    """Note the state under the key, where none is noted and no worker stays that the work can be handed to."""
    queue = queue_of(task)
    keys = _name(key), prefixed(f"progress:{queue}"), staying.waiting(task)
    arguments: list[str | int] = [kept_ms, settings.MAX_SILENCE_SECONDS[queue], state, _AT_WORK, _LOOK_AGAIN]
    if work is not None:
        arguments += [staying.handed(task), staying.KEPT_MS, json.dumps(work)]
    try:
        return bool(redis_client().eval(_TAKE_TURN, 3, *keys, *arguments))
    except RedisError as error:
        log.warning("task_not_enqueued", key=key, error=str(error))
        return False


# Keys: that of the message, the last progress of the queue's workers (`core.liveness`), and the workers that stay.
# Arguments: how long the state is kept, in milliseconds; after how many seconds without progress no worker is at work;
# the states: what the key becomes, and those of a worker at work; and for work that can be handed: where, how long it
# is kept there, and the work.
_TAKE_TURN = (
    staying.GIVE
    + """
local noted = redis.call('GET', KEYS[2])
if noted and redis.call('TIME')[1] - noted >= tonumber(ARGV[2]) then return 0 end
if redis.call('GET', KEYS[1]) == ARGV[4] then
  redis.call('SET', KEYS[1], ARGV[5], 'KEEPTTL')
  return 0
end
if ARGV[8] and give(KEYS[3], ARGV[6], ARGV[8], ARGV[7]) then
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[1])
  return 0
end
return redis.call('SET', KEYS[1], ARGV[3], 'NX', 'PX', ARGV[1]) and 1 or 0
"""
)
