"""The inbox: carriers' events are stored as they come, and settled in batches, oldest first.

An event that can't be settled never holds up the others.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction

from accounts.carriers import UnknownCarrier
from core import batches, clocks, failpoints, lazy_commits
from dialer import carriers, messages, outcomes, unknown_calls
from dialer.carriers.base import Event, RawEvent, UnreadableEvent
from dialer.models import CallAttempt, CarrierEvent

log = structlog.get_logger(__name__)

# The most events that one transaction settles.
BATCH = 500


class Incoming(NamedTuple):
    """An event to store. payload: in the carrier's own words, as its driver's `read_event` takes it."""

    carrier: str
    attempt_id: UUID
    payload: Mapping[str, Any]


def append(carrier: str, events: Sequence[RawEvent]) -> None:
    """Store events of a carrier kind and enqueue their settling."""
    if events:
        incoming = [Incoming(carrier, attempt_id, payload) for attempt_id, payload in events]
        store(incoming)
        enqueue_settle(incoming)


def store(events: Sequence[Incoming]) -> None:
    """Store events in their order, in one statement and thus one transaction.

    They are sent as one JSON document. Psycopg takes 40 µs to write a payload into an array of texts, quote by quote.
    """
    rows = [
        {"attempt_id": event.attempt_id.hex, "carrier": event.carrier, "payload": event.payload} for event in events
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dialer_carrierevent (attempt_id, carrier, payload, received_at, error)
            SELECT attempt_id, carrier, payload, %s, '' FROM ROWS FROM (
                json_to_recordset(%s) AS (attempt_id uuid, carrier text, payload jsonb)
            ) WITH ORDINALITY AS event(attempt_id, carrier, payload, place) ORDER BY place
            """,
            [clocks.now(), json.dumps(rows)],
        )


def enqueue_settle(events: Iterable[Incoming]) -> bool:
    """Enqueue the settling of events that were stored, if one of them tells an end: others can wait for beat's tick.

    Returns:
        Whether one of them does.
    """
    if is_needed := any(_tells_an_end(event.carrier, event.payload or {}) for event in events):
        messages.enqueue_settle()
    return is_needed


def settle_batch(now: datetime) -> int:
    """Settle the oldest events. Returns how many were taken. A fault in one of them stays with that one.

    Raises:
        One of batches.TRANSIENT_ERRORS; the events then wait for the next tick.
    """
    taken: list[Taken] = []

    def settle_together() -> None:
        with transaction.atomic():
            events = _take(BATCH, now)
            taken.extend(events)
            _settle(events, now)
            if taken:
                failpoints.reached("inbox-before-commit")

    def one_by_one() -> None:
        _settle_one_by_one([event.id for event in taken], now)

    batches.together("settle events", settle_together, otherwise=one_by_one)
    unknown_calls.told({event.attempt_id for event in taken if not event.is_placed}, now)
    return len(taken)


@dataclass(frozen=True)
class Taken:
    """An event taken out of the inbox, in the carrier's own words. is_placed: its attempt was, says the database."""

    id: int
    attempt_id: UUID
    carrier: str
    payload: Mapping[str, Any]
    received_at: datetime
    is_placed: bool


def _take(limit: int, now: datetime, only: list[int] | None = None) -> list[Taken]:
    """Take the oldest events that are not handled and that no other process has taken, in their order.

    They count as handled from the commit on: a transaction that fails leaves them as they were. So does one that a
    crash of PostgreSQL takes back: it commits without waiting for the disk (decision 0069).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE dialer_carrierevent SET handled_at = %s, error = '' WHERE id = ANY(ARRAY(
                SELECT id FROM dialer_carrierevent WHERE handled_at IS NULL AND (%s::bigint[] IS NULL OR id = ANY(%s))
                ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
            )) RETURNING id, attempt_id, carrier, payload, received_at, EXISTS (
                SELECT FROM dialer_callattempt AS attempt
                WHERE attempt.id = dialer_carrierevent.attempt_id AND attempt.placing_at IS NOT NULL
            ), {lazy_commits.ALLOWED}
            """,  # noqa: S608 -- a constant
            [now, only, only, limit],
        )
        rows = sorted(cursor.fetchall())
    return [Taken(id_, about, carrier, json.loads(payload), *rest) for id_, about, carrier, payload, *rest, _ in rows]


def _settle(events: Sequence[Taken], now: datetime) -> None:
    news: list[tuple[UUID, Event]] = []
    for event in events:
        try:
            told = carriers.driver(event.carrier).read_event(event.payload)
            news.append((event.attempt_id, replace(told, received_at=event.received_at)))
        except (UnreadableEvent, UnknownCarrier) as error:
            log.warning("event_unreadable", event_id=event.id, attempt=event.attempt_id.hex, error=str(error))
            _store_error(event.id, str(error), now)
    if news:
        outcomes.settle(news, now)


def _settle_one_by_one(event_ids: Sequence[int], now: datetime) -> None:
    failed: dict[int, Exception] = {}

    def give_up(event_id: int, error: Exception) -> None:
        failed[event_id] = error
        _fail_its_call(CarrierEvent.objects.get(pk=event_id), error, now)

    batches.one_by_one(
        "settle events",
        event_ids,
        lambda event_id: _settle(_take(1, now, only=[event_id]), now),
        give_up=give_up,
    )
    # Also where the call could not be given up: then recovery asks the carrier, and in the end spends the attempt.
    for event_id, error in failed.items():
        _store_error(event_id, f"{type(error).__name__}: {error}", now)


def _fail_its_call(event: CarrierEvent, error: Exception, now: datetime) -> None:
    """Fail the call, unless the event said no more than that it is up: then its end may still be understood."""
    if _tells_an_end(event.carrier, event.payload or {}):
        outcomes.give_up(event.attempt_id, error, now)


def _tells_an_end(carrier: str, payload: Mapping[str, Any]) -> bool:
    try:
        return carriers.driver(carrier).read_event(payload).status != CallAttempt.Status.IN_PROGRESS
    except Exception:  # noqa: BLE001 -- the driver fails on it: the call's end would not be understood either
        return True


def _store_error(event_id: int, error: str, now: datetime) -> None:
    """Mark the event as handled, with the reason why it says nothing that can be used."""
    CarrierEvent.objects.filter(pk=event_id).update(handled_at=now, error=error[:1000])
