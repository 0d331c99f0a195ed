"""Count repairs by kind, and carriers' ids that came back, in Redis for `/metrics`.

The counts start again at zero when Redis is flushed.
"""

from collections.abc import Mapping

import structlog
from redis.exceptions import RedisError

from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

KEY = prefixed("repairs")
# Ids of calls that a carrier gave to a second call. Nothing is repaired by it: an attempt is only not asked for by it.
REPEATED_IDS = "repeated_ids"


def add(repaired: Mapping[str, int]) -> None:
    """Add counts, by the fields of `recovery.Repairs` or as REPEATED_IDS. With Redis away only the log has them."""
    pipe = redis_client().pipeline(transaction=False)
    for kind, count in repaired.items():
        pipe.hincrby(KEY, kind, count)
    try:
        pipe.execute()
    except RedisError as error:
        log.warning("repairs_not_counted", error=str(error))


def read() -> dict[str, int]:
    """Return the repairs made so far, by kind. Raises RedisError."""
    return {str(kind): int(count) for kind, count in redis_client().hgetall(KEY).items()}
