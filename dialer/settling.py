"""Takes events out of the inbox and settles them. One that can't be handled never holds up the others."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from core import batches, failpoints
from dialer import inbox, outcomes
from dialer.carriers import DRIVERS
from dialer.carriers.base import Event, UnreadableEvent
from dialer.inbox import Taken
from dialer.models import CallAttempt, CarrierEvent

log = structlog.get_logger(__name__)

BATCH = 500


def settle_batch(now: datetime) -> int:
    """Settles the oldest events; answers how many were taken. A fault in one of them stays with that one.

    Raises what the database raises when it is away; the events then wait for the next tick.
    """
    taken: list[int] = []

    def settle_together() -> None:
        with transaction.atomic():
            events = inbox.take(BATCH, now)
            taken.extend(event.id for event in events)
            _settle(events, now)
            if taken:
                failpoints.reached("inbox-before-commit")

    batches.together("settle events", settle_together, otherwise=lambda: _settle_one_by_one(taken, now))
    return len(taken)


def _settle(events: Sequence[Taken], now: datetime) -> None:
    news: list[tuple[UUID, Event]] = []
    for event in events:
        try:
            news.append((event.attempt_id, DRIVERS[event.carrier].read_event(event.payload)))
        except (UnreadableEvent, KeyError) as error:
            log.warning("event_unreadable", event_id=event.id, attempt=event.attempt_id.hex, error=str(error))
            inbox.note_error(event.id, str(error), now)
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
        lambda event_id: _settle(inbox.take(1, now, only=[event_id]), now),
        give_up=give_up,
    )
    # Also where the call could not be given up: then recovery asks the carrier, and in the end spends the attempt.
    for event_id, error in failed.items():
        inbox.note_error(event_id, f"{type(error).__name__}: {error}", now)


def _fail_its_call(event: CarrierEvent, error: Exception, now: datetime) -> None:
    """Fail the call, unless the event said no more than that it is up: then its end may still be understood."""
    if _tells_an_end(event):
        outcomes.give_up(event.attempt_id, error, now)


def _tells_an_end(event: CarrierEvent) -> bool:
    try:
        return DRIVERS[event.carrier].read_event(event.payload).status != CallAttempt.Status.IN_PROGRESS
    except Exception:  # noqa: BLE001 -- it is the driver that stumbles: the call's end would not be understood either
        return True
