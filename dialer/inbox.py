"""The inbox: carriers' events are added as they come, and taken in batches, oldest first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from dialer import messages
from dialer.models import CarrierEvent

# Handled events are kept for questions asked later.
KEPT = timedelta(days=30)
PURGE_BATCH = 10_000


def append(carrier: str, events: Sequence[tuple[UUID, Mapping[str, Any]]]) -> None:
    """Stores events (attempt id and the carrier's own words), and rings for them to be settled."""
    if not events:
        return
    # One statement and no transaction around it: with two callbacks for every call, this is what a web process does.
    now = timezone.now()
    rows = ", ".join(["(%s, %s, %s::jsonb, %s, '')"] * len(events))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO dialer_carrierevent (attempt_id, carrier, payload, received_at, error) VALUES {rows}",  # noqa: S608
            [each for attempt_id, payload in events for each in (attempt_id, carrier, json.dumps(payload), now)],
        )
    messages.enqueue_settle()


@dataclass(frozen=True)
class Taken:
    """An event out of the inbox, in the carrier's own words."""

    id: int
    attempt_id: UUID
    carrier: str
    payload: Mapping[str, Any]


def take(limit: int, now: datetime, only: list[int] | None = None) -> list[Taken]:
    """The oldest events that are not handled and that nobody else has taken, by their order.

    They count as handled from the commit on: a transaction that fails leaves them as they were.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_carrierevent SET handled_at = %s, error = '' WHERE id = ANY(ARRAY(
                SELECT id FROM dialer_carrierevent WHERE handled_at IS NULL AND (%s::bigint[] IS NULL OR id = ANY(%s))
                ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
            )) RETURNING id, attempt_id, carrier, payload
            """,
            [now, only, only, limit],
        )
        rows = sorted(cursor.fetchall())
    return [Taken(id_, attempt_id, carrier, json.loads(payload)) for id_, attempt_id, carrier, payload in rows]


def note_error(event_id: int, error: str, now: datetime) -> None:
    """The event is handled, in that it says nothing that can be used."""
    CarrierEvent.objects.filter(pk=event_id).update(handled_at=now, error=error[:1000])


def purge(now: datetime) -> int:
    """Deletes a batch of events handled long ago; answers how many. Looks at the oldest alone, as ids follow time."""
    oldest = CarrierEvent.objects.order_by("id").values_list("pk", "handled_at")[:PURGE_BATCH]
    old = [pk for pk, handled_at in oldest if handled_at and handled_at < now - KEPT]
    return CarrierEvent.objects.filter(pk__in=old).delete()[0]
