"""Calls that dead gateways have left: hung up, and ended in the record, by the desk of a gateway that is at work."""

import threading
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import structlog

from sipgateway import beats, records
from sipgateway.call_ends import LEAVES_WITHIN
from sipgateway.models import SipCall
from sipgateway.records import Note
from sipgateway.sip_stack import ED2, Stack

log = structlog.get_logger(__name__)


class LostCalls:
    """What this gateway does about them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        # The BYEs that this gateway has sent: whether each has got its response.
        self._byes: dict[UUID, threading.Event] = {}
        self._watch = beats.Watch()

    def notes(self, now: datetime, at_work_since: datetime) -> Iterator[Note]:
        """Yield the ends of those of which nothing is up any more, and hang up the others.

        Args:
            at_work_since: of this gateway, without a gap.
        """
        if self._watch.since != at_work_since:
            self._watch = beats.Watch(at_work_since)
        lost = records.lost(now, watch=self._watch)
        self._byes = {call.pk: self._byes[call.pk] for call in lost if call.pk in self._byes}
        open_legs = records.open_legs(lost)
        # Legs first. A call ends after the calls that it was connected to: with it they would count as not taken.
        for call in sorted(lost, key=lambda call: call.leg_of is None):
            if call.dialog and call.pk not in self._byes:
                self._hang_up(call)
                yield Note(call.pk, {"hung_up_at": call.hung_up_at or now}, is_news=False)
                continue
            note = records.end_of_lost(call, now)
            if note and self._has_left(call, now) and call.pk not in open_legs.values():
                log.warning("sip_call_lost", attempt=call.pk.hex, status=call.status)
                open_legs.pop(call.pk, None)
                yield note

    def _hang_up(self, call: SipCall) -> None:
        response = self._byes[call.pk] = threading.Event()
        ED2.callFromThread(self._stack.hang_up, call.pk.hex, call.dialog, response.set)

    def _has_left(self, call: SipCall, now: datetime) -> bool:
        """Tell whether a call is up no more, as far as can be told.

        The time for a response begins with the first BYE, and goes on when the gateway that sent it dies as well.
        """
        if not call.dialog or self._byes[call.pk].is_set():
            return True
        return call.hung_up_at is not None and (now - call.hung_up_at).total_seconds() > LEAVES_WITHIN
