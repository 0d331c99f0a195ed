"""How far the clocks of the processes, and of Redis, are ahead of PostgreSQL's: noted in Redis by each process.

For `/readyz` and `/metrics`. Nothing is decided by it: `clocks` has corrected the difference already.
"""

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from core import clocks
from core.redis_client import prefixed, redis_client

# A process whose note is older, by Redis's clock, is gone.
NOTE_LASTS_SECONDS = 120

_noted_at: dict[str, float] = {}


@dataclass(frozen=True, order=True)
class Place:
    """A process, by the name of its queue, and the machine that it runs on."""

    process: str
    machine: str

    def __str__(self) -> str:
        return f"{self.process} on {self.machine}" if self.machine else self.process


REDIS = Place("redis", "")


def note(process: str) -> None:
    """Note how far this process's clock is ahead, as often as it is measured. Raises RedisError."""
    now = time.monotonic()
    if now - _noted_at.get(process, -clocks.MEASURE_EVERY) < clocks.MEASURE_EVERY:
        return
    ahead = clocks.seconds_ahead()
    if ahead is None:
        return
    _noted_at[process] = now
    redis = redis_client()
    redis.hset(key(), f"{process}@{socket.gethostname()}", json.dumps([ahead, redis.time()[0]]))


def read() -> Mapping[Place, float]:
    """Return the seconds by which each clock is ahead of PostgreSQL's, that of Redis too. Raises RedisError."""
    redis = redis_client()
    asked = clocks.now()
    seconds, microseconds = redis.time()
    offsets = {REDIS: seconds + microseconds / 1e6 - asked.timestamp()} if clocks.follows_database else {}
    old = []
    for name, noted in redis.hgetall(key()).items():
        ahead, noted_at = json.loads(noted)
        process, _, machine = str(name).partition("@")
        if seconds - noted_at > NOTE_LASTS_SECONDS:
            old.append(name)
        else:
            offsets[Place(process, machine)] = ahead
    if old:
        redis.hdel(key(), *old)
    return offsets


def key() -> str:
    return prefixed("clocks")
