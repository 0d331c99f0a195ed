"""Let a trunk rest that takes no calls, so that its carrier is not flooded and no attempt is spent on it."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import F, Q

from accounts.models import Trunk
from dialer.models import TrunkHealth

log = structlog.get_logger(__name__)

# The first rest, doubled with each failure in a row up to the longest: a trunk that is back is used within a minute.
FIRST_REST = timedelta(seconds=1)
LONGEST_REST = timedelta(seconds=60)


def took_a_call(trunk: Trunk) -> None:
    """Mark the trunk as up.

    Args:
        trunk: with its health as it was when the call was placed. If it was up then, the call says nothing about a
            failure since.
    """
    try:
        failures = trunk.health.failures
    except TrunkHealth.DoesNotExist:
        return
    if failures:
        TrunkHealth.objects.filter(trunk=trunk).update(
            failures=0, down_since=None, resting_until=None, next_try_at=None, last_error=""
        )
        log.info("trunk_up", trunk=trunk.name, failures=failures)


def took_no_call(trunk_id: int, error: str, now: datetime) -> None:
    """Let the trunk rest: a batch found it unavailable. Failures during a rest do not count: they began before it."""
    health, _ = TrunkHealth.objects.get_or_create(trunk_id=trunk_id)
    rest = min(FIRST_REST * 2 ** min(health.failures, 10), LONGEST_REST)
    awake = Q(resting_until=None) | Q(resting_until__lte=now)
    failed = TrunkHealth.objects.filter(awake, pk=health.pk, failures=health.failures).update(
        failures=F("failures") + 1,
        down_since=health.down_since or now,
        resting_until=now + rest,
        next_try_at=None,
        last_error=error[:255],
    )
    if failed:
        log.warning("trunk_down", trunk=trunk_id, failures=health.failures + 1, rest_seconds=rest.seconds, error=error)


def may_try(trunk_id: int, now: datetime) -> bool:
    """Tell whether a call may try a trunk that has failed: one at a time, over all accounts and dispatchers.

    The next may follow when the fate of this one is known, or has to be.
    """
    patience = timedelta(seconds=2 * settings.CARRIER_TIMEOUT_SECONDS)
    free = Q(next_try_at=None) | Q(next_try_at__lte=now)
    return bool(TrunkHealth.objects.filter(free, trunk=trunk_id).update(next_try_at=now + patience))
