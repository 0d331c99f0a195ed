"""The one Redis client of a process; its pool is safe for threads and made anew after a fork."""

from functools import cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings

if TYPE_CHECKING:
    from redis import Redis

# A gate that does not answer within seconds is shut: nothing is dialled, and the next tick asks again.
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
