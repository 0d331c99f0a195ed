"""The Redis client of this process. Its pool is safe for threads, and a fork gets a new one."""

from functools import cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings

if TYPE_CHECKING:
    from redis import Redis

# Beyond that Redis counts as away: what needs it fails, and the next tick tries again.
TIMEOUT_SECONDS = 5


@cache
def redis_client() -> "Redis":
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        health_check_interval=30,
    )


def prefixed(name: str) -> str:
    """Return the key of that name: every key of ours begins with REDIS_PREFIX, so that two systems share a Redis."""
    return f"{settings.REDIS_PREFIX}{name}"
