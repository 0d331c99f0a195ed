"""A trunk that takes no calls rests, so that a carrier in trouble is not hammered and no attempt is spent on it."""

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from django.db.models import F

from dialer.models import TrunkHealth

log = structlog.get_logger(__name__)

# The first rest, doubled with each failure in a row up to a minute: a trunk that is back is used again within a minute.
FIRST_REST = timedelta(seconds=1)
LONGEST_REST = timedelta(seconds=60)


def took_a_call(trunk_ids: Collection[int]) -> None:
    """These trunks are well. Touches no row in the usual case that they were well already."""
    for health in TrunkHealth.objects.filter(trunk__in=trunk_ids, failures__gt=0).select_related("trunk"):
        TrunkHealth.objects.filter(pk=health.pk).update(failures=0, down_since=None, resting_until=None, last_error="")
        log.info("trunk_up", trunk=health.trunk.name, failures=health.failures)


def took_no_call(trunk_id: int, error: str, now: datetime) -> None:
    """A batch found this trunk unavailable. Failures during a rest count once: they were asked before it began."""
    health, _ = TrunkHealth.objects.get_or_create(trunk_id=trunk_id)
    rest = min(FIRST_REST * 2 ** min(health.failures, 10), LONGEST_REST)
    resting = TrunkHealth.objects.filter(pk=health.pk, resting_until__gt=now).exists()
    if not resting:
        TrunkHealth.objects.filter(pk=health.pk, failures=health.failures).update(
            failures=F("failures") + 1,
            down_since=health.down_since or now,
            resting_until=now + rest,
            last_error=error[:255],
        )
        log.warning("trunk_down", trunk=trunk_id, failures=health.failures + 1, rest_seconds=rest.seconds, error=error)
