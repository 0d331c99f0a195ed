"""Let a trunk rest that takes no calls, so that its carrier is not flooded and no attempt is spent on it."""

from datetime import datetime

import structlog
from django.db import transaction

from accounts.models import Trunk
from dialer import rests
from dialer.models import TrunkHealth

log = structlog.get_logger(__name__)


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
        TrunkHealth.objects.filter(trunk=trunk).update(**rests.AWAKE)
        log.info("trunk_up", trunk=trunk.name, failures=failures)


def took_no_call(trunk_id: int, error: str, now: datetime) -> None:
    """Let the trunk rest: a batch found it unavailable."""
    with transaction.atomic():
        TrunkHealth.objects.get_or_create(trunk_id=trunk_id)
        health = TrunkHealth.objects.select_for_update().get(trunk_id=trunk_id)
        rest = rests.begin(health, error, now)
        if rest:
            health.save()
    if rest:
        log.warning("trunk_down", trunk=trunk_id, failures=health.failures, rest_seconds=rest.seconds, error=error)
