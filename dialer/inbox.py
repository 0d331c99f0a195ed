"""The inbox: carriers' events are added as they come, and taken in batches, oldest first."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone
from psycopg.types.json import Json

from dialer import doorbells
from dialer.models import CarrierEvent

# Handled events are kept for questions asked later.
KEPT = timedelta(days=30)
PURGE_BATCH = 10_000


def append(carrier: str, events: Sequence[tuple[UUID, Mapping[str, Any]]]) -> None:
    """Stores events (attempt id and the carrier's own words), and rings for them to be settled."""
    if not events:
        return
    # One statement and no transaction around it: with two callbacks for every call, this is what a web process does.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dialer_carrierevent (attempt_id, carrier, payload, received_at, error)
            SELECT attempt_id, %s, payload, %s, '' FROM unnest(%s::uuid[], %s::jsonb[]) AS told(attempt_id, payload)
            """,
            [
                carrier,
                timezone.now(),
                [attempt_id for attempt_id, _ in events],
                [Json(payload) for _, payload in events],
            ],
        )
    doorbells.ring_settle()


def take(limit: int, only: Sequence[int] | None = None) -> list[CarrierEvent]:
    """The oldest events that are not handled and that nobody else has taken, locked until the transaction ends."""
    events = CarrierEvent.objects.filter(handled_at=None)
    if only is not None:
        events = events.filter(pk__in=only)
    return list(events.select_for_update(skip_locked=True).order_by("id")[:limit])


def mark_handled(events: Sequence[CarrierEvent], now: datetime, *, error: str = "") -> None:
    if events:
        CarrierEvent.objects.filter(pk__in=[event.pk for event in events]).update(handled_at=now, error=error[:1000])


def purge(now: datetime) -> int:
    """Deletes a batch of events handled long ago; answers how many."""
    old = CarrierEvent.objects.filter(handled_at__lt=now - KEPT).order_by("id").values("pk")[:PURGE_BATCH]
    return CarrierEvent.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]
