"""Places for work that is dear: so many at once for each name, over all processes, counted in Redis.

A place that is not given back, because its process died, is free again after a while. While Redis is away everybody
gets one: what they guard against is rarer than that.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep

import structlog
from redis.exceptions import RedisError

from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

# After so long a place is free in any case, in seconds: longer than anything should take.
KEPT_SECONDS = 120
# For this long a Redis that did not respond is not asked again.
REST_SECONDS = 5.0
# Between two looks for a place that is free.
LOOK_AGAIN_SECONDS = 0.02

_rests_until = 0.0
# Threads of this process that wait for a place, by its name.
_waiting: Counter[str] = Counter()
_counting = threading.Lock()

# By Redis's own clock, as the places of one name are taken by many machines.
_TAKE = """
    local now = tonumber(redis.call('TIME')[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    return 1
"""


@dataclass(frozen=True)
class Place:
    """A place that was taken. holder: "" where Redis was away."""

    name: str
    holder: str

    def leave(self) -> None:
        if not self.holder:
            return
        try:
            redis_client().zrem(_key(self.name), self.holder)
        except RedisError as error:
            _rest(error)

    def leave_after(self, parts: Iterable[bytes]) -> "LeavingAfter":
        """Return the parts of a response, which give the place back when they end or are closed."""
        return LeavingAfter(self, iter(parts))


class LeavingAfter:
    """Not a generator: one that was never begun, as in a response to HEAD, does nothing when it is closed."""

    def __init__(self, place: Place, parts: Iterator[bytes]) -> None:
        self._place = place
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except BaseException:
            self._place.leave()
            raise

    def close(self) -> None:
        """Give the place back; Django and the server call this in any case."""
        try:
            if close := getattr(self._parts, "close", None):
                close()
        finally:
            self._place.leave()


def take(name: str, most: int) -> Place | None:
    """Take one of `most` places of this name. Returns None where all are taken."""
    if monotonic() < _rests_until:
        return Place(name, "")
    holder = uuid.uuid4().hex
    try:
        is_taken = redis_client().eval(_TAKE, 1, _key(name), most, KEPT_SECONDS, holder)
    except RedisError as error:
        _rest(error)
        return Place(name, "")
    return Place(name, holder) if is_taken else None


def take_within(seconds: float, name: str, most: int, *, waiting: int) -> Place | None:
    """Take one of `most` places of this name, as soon as one is free.

    Args:
        waiting: how many threads of this process may wait for these places at once. One more does not.

    Returns:
        None where none is free in so many seconds.
    """
    place = take(name, most)
    if place is not None or not _begin_to_wait(name, waiting):
        return place
    try:
        until = monotonic() + seconds
        while place is None and monotonic() < until:
            sleep(LOOK_AGAIN_SECONDS)
            place = take(name, most)
        return place
    finally:
        with _counting:
            _waiting[name] -= 1
            if not _waiting[name]:
                del _waiting[name]


def _begin_to_wait(name: str, most: int) -> bool:
    with _counting:
        if _waiting[name] >= most:
            return False
        _waiting[name] += 1
        return True


def _key(name: str) -> str:
    return prefixed(f"places:{name}")


def _rest(error: RedisError) -> None:
    global _rests_until
    _rests_until = monotonic() + REST_SECONDS
    log.warning("places_not_counted", error=str(error), seconds=REST_SECONDS)
