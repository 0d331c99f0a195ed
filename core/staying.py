"""Hand work to a worker that has just done some and stays for more, without a message of Celery's.

A message is felt beside the work of a few calls: one process takes it from the broker and gives it to another one of
its pool, and Flower is told three times. So a worker that has work again and again stays for a moment after it, and
Redis wakes it up with the next. What is handed to a worker that dies is lost, like a message that was taken.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import structlog
from redis.exceptions import RedisError

from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

# For how long a worker stays in all, and while nothing comes, in seconds. Other tasks of its queue wait meanwhile.
SECONDS, IDLE_SECONDS = 0.5, 0.1
# It waits for nothing shorter: Redis before 7.0.8 takes less than a millisecond for no limit (redis/redis#11688).
LEAST_SECONDS = 0.005
# How much longer than it waits a worker may take until it has gone, and how long what it was handed is kept, in
# milliseconds. The latter is as long as a claim may wait for its dialer.
GRACE_MS, KEPT_MS = 200, 10_000


def hand(task: str, *args: Any) -> bool:
    """Hand work to a worker that stays for this task. Returns False where none does, or Redis is away."""
    try:
        return bool(redis_client().eval(_HAND, 1, waiting(task), handed(task), json.dumps(args), KEPT_MS))
    except RedisError as error:
        log.warning("work_not_handed", task=task, error=str(error))
        return False


def stay(task: str, most: int, do: Callable[..., object], *args: Any) -> None:
    """Do the work of this task, and then what is handed to this worker, until nothing comes or its time is over.

    Args:
        most: workers that wait for this task at once. One more does not; with 0, none stays.
        args: of the work, as those that are handed.
    """
    until = time.monotonic() + SECONDS
    do(*args)
    while (work := wait(task, most, until - time.monotonic())) is not None:
        do(*work)


def wait(task: str, most: int, seconds: float) -> Sequence[Any] | None:
    """Return what is handed to this worker within so many seconds, or IDLE_SECONDS; None for nothing."""
    seconds = min(seconds, IDLE_SECONDS)
    if most == 0 or seconds < LEAST_SECONDS:
        return None
    worker = uuid4().hex
    own = f"{handed(task)}{worker}"
    try:
        redis = redis_client()
        if not redis.eval(_COME, 1, waiting(task), worker, int(seconds * 1000) + GRACE_MS, most):
            return None
        found = redis.blpop([own], timeout=seconds)
        work = found[1] if found else _go(task, worker)
    except RedisError as error:
        log.warning("work_not_waited_for", task=task, error=str(error))
        work = _go_after_all(task, worker)
    return None if work is None else json.loads(work)


def _go(task: str, worker: str) -> Any:
    """Stop waiting. Returns what the worker was handed at the last moment, or None."""
    return redis_client().eval(_GO, 2, waiting(task), f"{handed(task)}{worker}", worker)


def _go_after_all(task: str, worker: str) -> Any:
    """Stop waiting where Redis has failed meanwhile: a worker that only seems to wait is handed what nobody does."""
    try:
        return _go(task, worker)
    except RedisError:
        return None


def waiting(task: str) -> str:
    """Return the key of the workers that wait: a sorted set, by the moment until which they are taken to be there."""
    return prefixed(f"staying:{task}")


def handed(task: str) -> str:
    """Return how the keys begin in which work is handed; each ends with its worker."""
    return prefixed(f"handed:{task}:")


# For other scripts, too: hands work to the worker that came last, as one that has died came before. Returns whether
# one waits.
GIVE = """
local function give(waiting, handed, work, kept_ms)
  local time = redis.call('TIME')
  redis.call('ZREMRANGEBYSCORE', waiting, '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
  local worker = redis.call('ZPOPMAX', waiting)[1]
  if not worker then return false end
  redis.call('RPUSH', handed .. worker, work)
  redis.call('PEXPIRE', handed .. worker, kept_ms)
  return true
end
"""
_HAND = f"{GIVE} return give(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) and 1 or 0"
# ARGV: the worker, for how many milliseconds it is taken to be there, how many others may be.
_COME = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
# One that is not among those that wait any more has been handed something at the last moment.
_GO = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then return false end
return redis.call('LPOP', KEYS[2])
"""
