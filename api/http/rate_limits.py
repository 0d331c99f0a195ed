"""Limits on events in any minute, counted exactly in Redis by `limits`, for all web processes together."""

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rest_framework.exceptions import APIException

from core import clocks
from core.redis_client import prefixed

log = structlog.get_logger(__name__)

MINUTE_SECONDS = 60
# Every request waits for its counter: a slower Redis is treated as unreachable.
TIMEOUT_SECONDS = 1.0
# For this long a Redis that did not respond is not asked again, or each request would wait for the time-out.
REST_SECONDS = 5.0


class TooManyRequests(APIException):
    """retry_after: whole seconds after which the next request is admitted."""

    status_code = 429

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Reading:
    """A window as it was at `read_at`. Moments are Unix time in seconds."""

    admitted: bool
    limit: int
    remaining: int
    read_at: float
    resets_at: float
    """When the oldest counted event leaves the window, which makes room for one more."""

    @property
    def retry_after(self) -> int:
        """Whole seconds, at least one. Rounded up, because at `resets_at` itself the window is still full."""
        return max(math.floor(self.resets_at - self.read_at) + 1, 1)


class Meter:
    """Moving windows in one Redis: no `seconds` in a row have more events than the limit, whatever the clock shows.

    The scripts are those of `limits`, sent in one transaction so that counting and reading cost one round trip. The
    time is the web process's: machines whose clocks differ by a second disagree by a second about a window's edge.
    A changed limit starts a new window.
    """

    def __init__(self, redis_url: str, seconds: int = MINUTE_SECONDS) -> None:
        self.seconds = seconds
        self._storage = RedisStorage(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # Retry once, because a server that was restarted has closed the connections in the pool.
            retry=Retry(NoBackoff(), 1),  # type: ignore[arg-type]
            key_prefix=prefixed("LIMITS"),
        )
        self._rests_until = 0.0

    def admit(self, name: str, limit: int) -> Reading | None:
        """Count one more event of that name, unless the window is full. Returns None if Redis is unreachable."""
        return self._read(name, limit, counting=True)

    def look(self, name: str, limit: int) -> Reading | None:
        """Return what `admit` would, without counting. Returns None if Redis is unreachable."""
        return self._read(name, limit, counting=False)

    def reset(self) -> None:
        """Empty every window."""
        self._storage.reset()

    def _read(self, name: str, limit: int, *, counting: bool) -> Reading | None:
        if time.monotonic() < self._rests_until:
            return None
        try:
            return self._ask(name, limit, counting=counting)
        except RedisError as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("requests_not_counted", error=str(error), seconds=REST_SECONDS)
            return None

    def _ask(self, name: str, limit: int, *, counting: bool) -> Reading:
        now = clocks.now().timestamp()
        key = self._storage.prefixed_key(RateLimitItemPerSecond(limit, self.seconds).key_for(name))
        client: Any = self._storage.get_connection()
        pipe = client.pipeline(transaction=True)
        # Send the scripts' text, not their digests: a Redis that does not have them would cost a second round trip.
        if counting:
            pipe.eval(RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW, 1, key, now, limit, self.seconds, 1)
        pipe.eval(RedisStorage.SCRIPT_MOVING_WINDOW, 1, key, now - self.seconds, limit)
        *counted, window = pipe.execute()
        oldest, count = (float(window[0]), int(window[1])) if window else (now, 0)
        admitted = bool(counted[0]) if counting else count < limit
        return Reading(admitted, limit, max(limit - count, 0), now, oldest + self.seconds)


@cache
def meter() -> Meter:
    """Return the meter of this process. Its pool is safe for threads, and replaced after a fork."""
    return Meter(settings.REDIS_URL)
