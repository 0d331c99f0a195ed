"""How often each kind of repair was made, for `/metrics`: counted in Redis, from zero again when it is flushed."""

from collections.abc import Mapping

import structlog
from redis.exceptions import RedisError

from core.redis_client import redis_client

log = structlog.get_logger(__name__)

KEY = "repairs"


def add(mended: Mapping[str, int]) -> None:
    """mended: the fields of `recovery.Repairs`. With Redis away they are not counted; the log has them all the same."""
    pipe = redis_client().pipeline(transaction=False)
    for kind, count in mended.items():
        pipe.hincrby(KEY, kind, count)
    try:
        pipe.execute()
    except RedisError as error:
        log.warning("repairs_not_counted", error=str(error))


def read() -> dict[str, int]:
    """By kind, those that were ever made. Raises RedisError."""
    return {str(kind): int(count) for kind, count in redis_client().hgetall(KEY).items()}
