"""Calls that dead gateways have left: hung up, and ended in the record, by the desk of a gateway that is at work."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import structlog

from sipgateway import records
from sipgateway.call_ends import LEAVES_WITHIN
from sipgateway.models import SipCall
from sipgateway.records import Note
from sipgateway.sip_stack import ED2, Stack

log = structlog.get_logger(__name__)


class _Bye:
    """The BYE of a call, from the moment at which it is sent."""

    def __init__(self) -> None:
        self.has_response = threading.Event()
        self._sent_at = time.monotonic()

    def is_over(self) -> bool:
        """Tell whether it got its response, or will get none any more."""
        return self.has_response.is_set() or time.monotonic() - self._sent_at > LEAVES_WITHIN


class LostCalls:
    """What this gateway does about them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._byes: dict[UUID, _Bye] = {}

    def ends(self, now: datetime) -> Iterator[Note]:
        """Yield the ends of those of which nothing is up any more, and hang up the others."""
        lost = records.lost(now)
        with_legs = {call.leg_of for call in lost}
        self._byes = {call.pk: self._byes[call.pk] for call in lost if call.pk in self._byes}
        for call in lost:
            note = records.end_of_lost(call, now)
            # A call ends after the calls that it was connected to: with it they would count as not taken.
            if note and self._has_left(call) and call.pk not in with_legs:
                log.warning("sip_call_lost", attempt=call.pk.hex, status=call.status)
                yield note

    def _has_left(self, call: SipCall) -> bool:
        """Send a call that is up its BYE. Returns whether it is up no more, as far as can be told."""
        if not call.dialog:
            return True
        if call.pk not in self._byes:
            bye = self._byes[call.pk] = _Bye()
            ED2.callFromThread(self._stack.hang_up, call.pk.hex, call.dialog, bye.has_response.set)
        return self._byes[call.pk].is_over()
