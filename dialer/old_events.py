"""What becomes of settled events: their payloads are removed after some days, and the rows deleted after a month.

A row without its payload still says when the event came, when it was handled, and why not. Nothing else reads it: what
an event has changed is in the attempt, which takes no more news once it has ended, so that a repeat changes nothing.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Max, Min, Q

from core import failpoints
from dialer.models import CarrierEvent

# Settled events stay for questions asked later.
ROWS_STAY = timedelta(days=30)
# Rows of one transaction: some 50 milliseconds.
SLICE = 5_000
# The advisory lock of slices: what another process has not committed yet must not become a gap in the order.
_LOCK = 0x65767473


def slices(now: datetime) -> Iterator[int]:
    """Remove old payloads, then delete old rows, a slice for each item. Yields the number of rows."""
    yield from remove_payloads(now)
    yield from delete_rows(now)


def remove_payloads(now: datetime) -> Iterator[int]:
    """Remove the payloads of events that were handled EVENT_PAYLOADS_KEPT_DAYS ago, in slices.

    They go in the order of the events, up to the first one that is not that old. So those without a payload are always
    the oldest ones, and no index has to be kept for finding the others.
    """
    position = _first(Q(payload__isnull=False))
    before = payloads_kept_since(now)
    while True:
        with transaction.atomic():
            end = _end_of_slice(position, before) if _is_alone() else position
            removed = CarrierEvent.objects.filter(pk__gte=position, pk__lt=end, payload__isnull=False).update(
                payload=None
            )
            failpoints.reached("payloads-before-commit")
        if end == position:
            return
        position = end
        yield removed


def delete_rows(now: datetime) -> Iterator[int]:
    """Delete events that were handled a month ago, in slices. Looks at the oldest alone, as ids follow time."""
    position = 0
    while True:
        with transaction.atomic():
            rows = _slice(position) if _is_alone() else []
            old = [pk for pk, handled_at in rows if handled_at and handled_at < now - ROWS_STAY]
            CarrierEvent.objects.filter(pk__in=old).delete()
        if not old:
            return
        position = rows[-1][0] + 1
        yield len(old)


def payloads_kept_since(now: datetime) -> datetime:
    return now - timedelta(days=settings.EVENT_PAYLOADS_KEPT_DAYS)


def estimate_payloads(before: datetime) -> int:
    """Return about how many payloads there are of events that were handled before that moment."""
    end = _first(Q(handled_at__isnull=True) | Q(handled_at__gte=before))
    return max(0, end - _first(Q(payload__isnull=False)))


def _first(condition: Q) -> int:
    """Return the least id from which on the condition holds, given that it holds for no event before one of the others.

    Halves the ids between the first and the last one, and so looks at some forty rows, however many there are.
    """
    ends = CarrierEvent.objects.aggregate(low=Min("pk"), high=Max("pk"))
    if ends["low"] is None:
        return 0
    low, high = ends["low"], ends["high"] + 1
    while low < high:
        middle = (low + high) // 2
        rows = CarrierEvent.objects.filter(pk__gte=middle).order_by("pk")
        pk, holds = rows.values_list("pk", ExpressionWrapper(condition, BooleanField()))[0]
        low, high = (low, middle) if holds else (pk + 1, high)
    return int(low)


def _end_of_slice(position: int, before: datetime) -> int:
    """Return the id behind the events of this slice: the first one that is not handled, or was too late."""
    end = position
    for pk, handled_at in _slice(position):
        if handled_at is None or handled_at >= before:
            break
        end = pk + 1
    return end


def _slice(position: int) -> list[tuple[int, datetime | None]]:
    rows = CarrierEvent.objects.filter(pk__gte=position).order_by("pk")
    return list(rows.values_list("pk", "handled_at")[:SLICE])


def _is_alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])
