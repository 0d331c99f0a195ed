"""Workers and beat start only at a Redis that is this system's: they would take another system's messages."""

import time
from typing import Any

import structlog
from celery.signals import beat_init, worker_init
from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from campaigns_project import redis_memory

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 1.0
SPARE_SECONDS = 2.0


@worker_init.connect
@beat_init.connect
def require(**_: Any) -> None:
    """Wait until Redis takes writes and is this system's: one that was just moved or restored waits for its old place.

    While a server is away it goes on: each look before a dial asks again.

    Raises:
        SystemExit: another system uses it.
    """
    from dialer import redis_owner, restores

    try:
        _wait_for_writes()
        deadline = time.monotonic() + redis_owner.GONE_AFTER + SPARE_SECONDS
        owner = restores.owner()
        while True:
            try:
                redis_owner.take(owner)
            except redis_owner.OwnedByAnother as another:
                if time.monotonic() > deadline:
                    raise SystemExit(str(another)) from None
                log.warning("redis_is_anothers", error=str(another))
                time.sleep(LOOK_AGAIN_SECONDS)
            else:
                return
    except (RedisError, DatabaseError) as error:
        log.warning("redis_owner_not_asked", error=str(error))
    finally:
        connection.close()  # a pool that is forked from this process must not share it


def _wait_for_writes() -> None:
    """Wait while Redis is full, or a replica: a worker would end, and with it the first start of a `make up`.

    Raises:
        RedisError: it is away.
    """
    told = ""
    while refusal := redis_memory.refusal():
        if refusal != told:
            log.error("redis_takes_no_writes", why=refusal)
        told = refusal
        time.sleep(LOOK_AGAIN_SECONDS)
