"""The rows of calls, as gateways write them: claim, note what became of a call, settle what was lost.

A call is never queued twice. Its move from `queued` to `inviting` is committed before the INVITE leaves, so whatever
dies in between, no other gateway sends one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from campaigns.models import Outcome
from dialer import inbox, transfers
from dialer.transfers import LegEnd
from sipgateway import beats
from sipgateway.models import Gateway, SipCall
from sipgateway.snapshots import snapshot

Status = SipCall.Status

KIND = "sip"
CHANNEL = "sip_calls"
# After an INVITE's last retransmission its transaction is over (RFC 3261 17.1.1.2, timer B), and so is an unconfirmed
# answer (13.3.1.4).
TRANSACTION = timedelta(seconds=32)
SPARE = timedelta(seconds=8)
# A claimed call is known to its gateway's loop within milliseconds.
FORGOTTEN_AFTER = timedelta(seconds=30)
# Rows of calls that have ended stay for so long, to be asked for.
KEPT = timedelta(days=3)
DELETED_AT_ONCE = 1000


def claim(gateway_id: UUID, most: int, now: datetime) -> list[SipCall]:
    """Take queued calls, oldest first. Once this has returned, only this gateway may send their INVITEs."""
    give_back_late(now)
    queued = SipCall.objects.filter(status=Status.QUEUED, ask_before__gt=now).order_by("created_at")
    with transaction.atomic():
        calls = list(queued.select_for_update(skip_locked=True)[:most])
        SipCall.objects.filter(pk__in=[call.pk for call in calls]).update(
            status=Status.INVITING, gateway_id=gateway_id, inviting_at=now
        )
    return calls


def give_back_late(now: datetime, attempt_ids: Sequence[UUID] | None = None) -> None:
    """End calls that no gateway has taken in time: nobody may send their INVITEs any more.

    Args:
        attempt_ids: None for all.
    """
    late = SipCall.objects.filter(status=Status.QUEUED, ask_before__lte=now)
    if attempt_ids is not None:
        late = late.filter(pk__in=attempt_ids)
    if late.exists():
        late.update(
            status=Status.ENDED, outcome=Outcome.CANCELED, ended_at=now, reason="no SIP gateway took it in time"
        )


def to_hang_up(gateway_id: UUID) -> list[UUID]:
    """Return the gateway's live calls that the dialer wants to end."""
    wanted = SipCall.objects.filter(gateway_id=gateway_id, status__in=SipCall.LIVE, to_hang_up=True)
    return list(wanted.values_list("pk", flat=True))


@dataclass(frozen=True)
class Note:
    """News of a call: columns that changed, and whether the dialer hears of it now rather than with the next news."""

    attempt_id: UUID
    columns: Mapping[str, Any] = field(default_factory=dict)
    is_news: bool = True


def store(notes: Sequence[Note]) -> None:
    """Store notes, in their order, and the news of calls that the dialer waits for: in one transaction."""
    columns: dict[UUID, dict[str, Any]] = {}
    news: dict[UUID, None] = {}
    for note in notes:
        columns.setdefault(note.attempt_id, {}).update(note.columns)
        if note.is_news:
            news[note.attempt_id] = None
    with transaction.atomic():
        rows = SipCall.objects.select_for_update().order_by("pk").in_bulk(list(columns))
        ended_legs = []
        for attempt_id, row in rows.items():
            if row.status == Status.ENDED:
                news.pop(attempt_id, None)
                continue
            for name, value in columns[attempt_id].items():
                setattr(row, name, value)
            row.save(update_fields=list(columns[attempt_id]))
            if row.leg_of and row.status == Status.ENDED:
                ended_legs.append(_leg_end(row))
        transfers.end_legs(ended_legs)
        incoming = [
            inbox.Incoming(KIND, attempt_id, snapshot(rows[attempt_id]))
            for attempt_id in news
            if attempt_id in rows and rows[attempt_id].is_taken
        ]
        if incoming:
            inbox.store(incoming)
    if incoming:
        inbox.enqueue_settle(incoming)


def _leg_end(row: SipCall) -> LegEnd:
    assert row.ended_at is not None  # the database says so of every call that has ended
    talked = int((row.ended_at - row.answered_at).total_seconds()) if row.answered_at else None
    return LegEnd(row.pk, row.outcome, None if talked is None else max(talked, 0), row.ended_at)


def lost(
    now: datetime, most: int = 100, among: Sequence[UUID] | None = None, watch: beats.Watch | None = None
) -> list[SipCall]:
    """Return live calls whose gateway has died or has stopped without ending them: those first that can end first.

    Args:
        among: these attempts; None for all.
        watch: of the gateway that is going to end the calls.
    """
    live = SipCall.objects.filter(status__in=SipCall.LIVE).exclude(gateway_id__in=beats.not_dead(now, watch))
    lost = live if among is None else live.filter(pk__in=among)
    return list(lost.order_by(F("answered_at").asc(nulls_last=True), "inviting_at")[:most])


def open_legs(calls: Sequence[SipCall]) -> dict[UUID, UUID | None]:
    """Return the live calls to other numbers that these calls were connected to: whose leg each of them is."""
    of_calls = SipCall.objects.filter(status__in=SipCall.LIVE, leg_of__in=[call.pk for call in calls])
    return dict(of_calls.values_list("pk", "leg_of"))


def end_of_lost(call: SipCall, now: datetime) -> Note | None:
    """Return how a call ends whose gateway died; None while its phone may still ring.

    One that was answered has reached a person, whatever that person heard. It is hung up by whoever stores the note.
    """
    assert call.inviting_at is not None  # the database says so of every live call
    ending = {"status": Status.ENDED, "ended_at": now, "reason": "its SIP gateway died during the call"}
    if call.status == Status.TALKING:
        return Note(call.pk, ending | {"outcome": Outcome.COMPLETED})
    if now < call.inviting_at + timedelta(seconds=call.ring_timeout) + TRANSACTION + SPARE:
        return None
    return Note(call.pk, ending | {"outcome": Outcome.FAILED})


def forgotten(gateway_id: UUID, known: Sequence[UUID], now: datetime) -> list[UUID]:
    """Return live calls of a gateway that it knows nothing of: by a fault of its, or as the end is on its way here."""
    live = SipCall.objects.filter(gateway_id=gateway_id, status__in=SipCall.LIVE, inviting_at__lt=now - FORGOTTEN_AFTER)
    return list(live.exclude(pk__in=known).values_list("pk", flat=True))


def end_of_forgotten(attempt_id: UUID, now: datetime) -> Note:
    """Return how such a call ends. What was noted before stands."""
    ending = {"status": Status.ENDED, "ended_at": now, "reason": "its SIP gateway lost sight of the call"}
    return Note(attempt_id, ending | {"outcome": Outcome.FAILED})


def delete_old(now: datetime) -> int:
    """Delete a slice of the calls that ended days ago, and the gateways that died then. Returns the number of calls."""
    old = SipCall.objects.filter(status=Status.ENDED, ended_at__lt=now - KEPT).order_by("ended_at")
    deleted, _ = SipCall.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])).delete()
    Gateway.objects.filter(beat_at__lt=now - KEPT).delete()
    return deleted


def wake_gateways() -> None:
    """Let the gateways look for queued calls now, instead of at their next look."""
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")
