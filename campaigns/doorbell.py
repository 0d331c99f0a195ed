"""Ringing a Celery task. A message is only a doorbell: a lost one costs the time until the next tick."""

from typing import Any

import structlog
from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# A message that has waited longer is of no use: the tick of a later second has taken its place.
EXPIRES_SECONDS = 30


def ring(task: str, *args: Any, countdown: float = 0, **options: Any) -> None:
    """Sends the task of that name, to run `countdown` seconds from now (below a minute).

    An absent broker is logged, never raised.
    """
    try:
        current_app.send_task(
            task, args=args, countdown=countdown or None, expires=countdown + EXPIRES_SECONDS, retry=False, **options
        )
    except (OperationalError, RedisError, OSError) as error:
        log.warning("doorbell_not_rung", task=task, error=str(error))
