"""A SIP trunk: calls are rows that a gateway process takes, and the trunk's first response is the carrier's reply.

Unlike other drivers this one asks no server: the rows are its wire (docs/decisions/0050). A batch is placed by
inserting it, and then waiting for what the trunk responds to each INVITE: that is what tells a trunk that takes calls
from one that does not.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from accounts.carriers import CarrierKind, FoundBy
from campaigns.models import Outcome
from core import clocks
from dialer.carriers.base import (
    Accepted,
    Access,
    Ambiguous,
    CallRequest,
    CantTell,
    Carrier,
    Event,
    LookUp,
    NoSuchCall,
    Placed,
    RawEvent,
    Refused,
    Reply,
    TooLate,
    Unavailable,
)
from dialer.carriers.refusals import wish_of
from sipgateway import beats, records, snapshots, trunk_addresses
from sipgateway.codes import Concerns
from sipgateway.models import SipCall

Status = SipCall.Status

NO_GATEWAY = "no SIP gateway is at work: start `manage.py sipgateway`"
# How long after `100 Trying` a refusal is still waited for: it tells what the trunk thinks of a number, and most trunks
# respond so fast. A proxy sends the 100 by itself.
SETTLES_WITHIN = timedelta(seconds=0.3)
# Seconds between two looks at the rows of a batch: at first, and at most.
FIRST_LOOK, LONGEST_LOOK = 0.02, 0.2
# The driver returns before the dialer's patience ends.
RETURNS_BEFORE = 0.5


class SipCarrier(Carrier):
    kind = CarrierKind(
        records.KIND,
        "SIP trunk",
        needs_credentials=False,
        needs_address=True,
        calls_back=False,
        found_by=frozenset({FoundBy.OUR_ID}),
        hangs_up=True,
        read_address=trunk_addresses.canonical,
    )

    @classmethod
    def connect(cls, access: Access) -> "SipCarrier":
        return cls()

    def place(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
        now = clocks.now()
        replies: dict[UUID, Reply] = {request.attempt_id: TooLate() for request in requests if now > request.ask_before}
        waiting = [request for request in requests if request.attempt_id not in replies]
        if not waiting:
            return replies
        if not beats.is_any_at_work(now):
            nobody = Unavailable(NO_GATEWAY)
            return replies | {request.attempt_id: nobody for request in waiting}
        SipCall.objects.bulk_create([_row(request) for request in waiting])
        records.wake_gateways()
        return replies | _replies([request.attempt_id for request in waiting])

    def look_up(self, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
        now = clocks.now()
        attempt_ids = [attempt.attempt_id for attempt in placed]
        records.give_back_late(now, attempt_ids)
        # News of a call that is known to be up goes to the inbox from now on.
        up = SipCall.objects.filter(pk__in=attempt_ids, status__in=(Status.TRYING, Status.RINGING, Status.TALKING))
        up.filter(is_taken=False).update(is_taken=True)
        rows = SipCall.objects.in_bulk(attempt_ids)
        lost = {call.pk for call in records.lost(now, len(rows) or 1, among=attempt_ids)}
        return {attempt_id: _found(rows.get(attempt_id), attempt_id in lost) for attempt_id in attempt_ids}

    def hang_up(self, carrier_refs: Sequence[str]) -> Sequence[RawEvent]:
        SipCall.objects.filter(pk__in=[UUID(ref) for ref in carrier_refs]).update(to_hang_up=True)
        records.wake_gateways()
        return ()

    def problem(self) -> str:
        return "" if beats.is_any_at_work(clocks.now()) else NO_GATEWAY

    read_event = staticmethod(snapshots.read)


def _row(request: CallRequest) -> SipCall:
    return SipCall(
        attempt_id=request.attempt_id,
        number=request.number,
        caller_id=request.caller_id,
        ring_timeout=request.ring_timeout,
        max_seconds=request.max_seconds,
        ask_before=request.ask_before,
        created_at=clocks.last_known_now(),
    )


def _replies(attempt_ids: Sequence[UUID]) -> dict[UUID, Reply]:
    """Wait until the trunk has responded to each of the calls, or until there is no time left."""
    deadline = time.monotonic() + settings.CARRIER_TIMEOUT_SECONDS - RETURNS_BEFORE
    replies: dict[UUID, Reply] = {}
    waiting = set(attempt_ids)
    pause = FIRST_LOOK
    while waiting and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK)
        for call in _decided(waiting):
            replies[call.pk] = _reply(call)
            waiting.discard(call.pk)
    records.give_back_late(clocks.now(), list(waiting))
    for call in SipCall.objects.filter(pk__in=waiting):
        replies[call.pk] = _reply(call)
    return replies


def _decided(attempt_ids: "set[UUID]") -> list[SipCall]:
    """Take the calls of which something is known. From the commit on, their gateways send further news to the inbox."""
    tried_long_enough = Q(status=Status.TRYING, trying_at__lt=clocks.last_known_now() - SETTLES_WITHIN)
    decided = SipCall.objects.filter(
        tried_long_enough | Q(status__in=(Status.RINGING, Status.TALKING)), pk__in=attempt_ids
    )
    decided.update(is_taken=True)
    known = Q(is_taken=True) | Q(status__in=(Status.ENDED, Status.SILENT))
    return list(SipCall.objects.filter(known, pk__in=attempt_ids))


def _reply(call: SipCall) -> Reply:
    if call.status == Status.ENDED and not call.is_taken:
        return _reply_of_ended(call)
    if call.status == Status.SILENT or not call.is_taken:
        return Ambiguous("the trunk has not responded to the INVITE")
    # The row was read after it was taken, and may have changed in between: what it says is not news twice.
    return Accepted(call.pk.hex, events=(snapshots.snapshot(call),) if call.answered_at or call.ended_at else ())


def _reply_of_ended(call: SipCall) -> Reply:
    match snapshots.concerns(call):
        case Concerns.NUMBER:
            return Refused(call.reason, names_number=True, wish=wish_of(call.code))
        case Concerns.OUR_SIDE:
            return Refused(call.reason)
        case Concerns.TRUNK:
            return Unavailable(call.reason)
    if call.outcome == Outcome.CANCELED:
        return TooLate()
    return Accepted(call.pk.hex, events=(snapshots.snapshot(call),))


def _found(call: SipCall | None, is_lost: bool) -> LookUp:
    if call is None:
        return NoSuchCall()
    if call.status == Status.ENDED:
        return snapshots.read(snapshots.snapshot(call))
    if is_lost:
        return CantTell("the SIP gateway that had the call has died")
    if call.is_taken:
        return Event(status=snapshots.UP, carrier_ref=call.pk.hex, digits=call.digits)
    return CantTell("the trunk has not responded to the INVITE")
