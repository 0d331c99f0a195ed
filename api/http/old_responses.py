"""Delete the responses to an `Idempotency-Key` that are no longer sent again.

Beside `idempotency` rather than in it: workers delete them, and none of them needs the REST framework for anything.
"""

from datetime import datetime, timedelta

from api.models import IdempotentRequest

LIFETIME = timedelta(hours=24)
PURGE_BATCH = 1000


def purge(now: datetime) -> int:
    """Delete a batch of responses that are no longer replayed. Returns the number deleted."""
    # An hour after they expire, so that a second request that has just found its key taken can still read the row.
    old = IdempotentRequest.objects.filter(created_at__lt=now - LIFETIME - timedelta(hours=1)).order_by("created_at")
    return IdempotentRequest.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PURGE_BATCH])).delete()[0]
