"""How many look-ups each of our accounts at a carrier may send: dialing must not lose its requests to them.

A carrier limits the requests of an account, look-ups and calls together. So look-ups have an allowance of their own,
CARRIER_LOOK_UPS_PER_MINUTE, and none are sent for a while after the carrier has replied that it takes no more requests
(docs/decisions/0029). Only recovery looks up, in one process at a time, so reading and writing need not be one step.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

# So much of the allowance may be used at once: two sweeps of recovery.
BURST = timedelta(seconds=10)
# Of an account's allowance the share that is kept for calls that are up, while others are in doubt.
SHARE_OF_CALLS_UP = 0.25
# How long a carrier is left alone that does not say for how long it wants to be, and the longest that it may ask for.
REST = timedelta(seconds=10)
LONGEST_REST = timedelta(minutes=5)


def room(account_id: int, now: datetime) -> int:
    """Return how many look-ups the account may send now. Raises RedisError."""
    return max(0, (now - _used_up_to(account_id, now)) // _interval())


def take(account_id: int, count: int, now: datetime) -> None:
    """Note that so many were sent. Raises RedisError."""
    _store(account_id, _used_up_to(account_id, now) + count * _interval(), now)


def rest(account_id: int, seconds: float | None, now: datetime) -> None:
    """Send no look-ups for so many seconds, because the carrier replied that it takes no more requests.

    Without Redis this is forgotten: then nothing is looked up either.

    Args:
        seconds: what the carrier asks for, None where it says nothing.
    """
    # Limited as a number: what a carrier sends may be more than a timedelta holds.
    asked_for = None if seconds is None else min(max(seconds, 1.0), LONGEST_REST.total_seconds())
    pause = REST if asked_for is None else timedelta(seconds=asked_for)
    try:
        _store(account_id, max(now + pause, _used_up_to(account_id, now)), now)
    except RedisError as error:
        log.warning("look_ups_not_paused", error=str(error))


def give_way(account_id: int, now: datetime) -> None:
    """Send no look-ups for a moment, because the carrier took no more calls. At most every other moment is given.

    A campaign may dial into the carrier's limit for hours. Its calls in doubt, and those whose end was lost, must be
    asked for meanwhile.
    """
    try:
        if redis_client().set(prefixed(f"look-ups-gave-way:{account_id}"), 1, nx=True, ex=2 * REST):
            rest(account_id, None, now)
    except RedisError as error:
        log.warning("look_ups_not_paused", error=str(error))


def _used_up_to(account_id: int, now: datetime) -> datetime:
    """Return the moment up to which the allowance is used: what has grown since then may be sent."""
    noted = redis_client().get(_key(account_id))
    earliest = now - max(BURST, _interval())
    if noted is None:
        return earliest
    moment = datetime.fromtimestamp(float(noted), now.tzinfo)
    # A moment far ahead was noted before the clock was set back.
    return earliest if moment > now + LONGEST_REST + BURST else max(moment, earliest)


def _store(account_id: int, moment: datetime, now: datetime) -> None:
    keep = LONGEST_REST + BURST + max(moment - now, timedelta())
    redis_client().set(_key(account_id), moment.timestamp(), ex=keep)


def _interval() -> timedelta:
    return timedelta(minutes=1) / settings.CARRIER_LOOK_UPS_PER_MINUTE


def _key(account_id: int) -> str:
    return prefixed(f"look-ups:{account_id}")
