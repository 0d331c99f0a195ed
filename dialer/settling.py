"""Takes events out of the inbox and settles them. One that can't be handled never holds up the others."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from core import failpoints
from core.database_errors import TRANSIENT_DB_ERRORS
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
    try:
        with transaction.atomic():
            events = inbox.take(BATCH, now)
            taken = [event.id for event in events]
            _settle(events, now)
            if taken:
                failpoints.reached("inbox-before-commit")
    except TRANSIENT_DB_ERRORS:
        raise
    except Exception:
        # Whatever it was: trying one event at a time finds the one to blame.
        log.exception("inbox_batch_failed", taken=len(taken))
        for event_id in taken:
            _settle_alone(event_id, now)
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


def _settle_alone(event_id: int, now: datetime) -> None:
    try:
        with transaction.atomic():
            _settle(inbox.take(1, now, only=[event_id]), now)
    except TRANSIENT_DB_ERRORS:
        raise
    except Exception as error:
        log.exception("event_failed", event_id=event_id)
        _give_up(CarrierEvent.objects.get(pk=event_id), error, now)


def _give_up(event: CarrierEvent, error: Exception, now: datetime) -> None:
    """Its call fails, unless the event said no more than that the call is up: then its end may still be understood."""
    try:
        with transaction.atomic():
            if _tells_an_end(event):
                outcomes.give_up(event.attempt_id, error, now)
    except TRANSIENT_DB_ERRORS:
        raise
    except Exception:
        # Then recovery asks the carrier, and in the end spends the attempt.
        log.exception("call_not_given_up", event_id=event.pk)
    inbox.note_error(event.pk, f"{type(error).__name__}: {error}", now)


def _tells_an_end(event: CarrierEvent) -> bool:
    try:
        return DRIVERS[event.carrier].read_event(event.payload).status != CallAttempt.Status.IN_PROGRESS
    except Exception:  # noqa: BLE001 -- it is the driver that stumbles: the call's end would not be understood either
        return True
