"""The calls of a gateway, from their plans to their ends. Runs in sippy's loop, which alone touches a call."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from uuid_utils.compat import uuid7

from campaigns.flow_interpreter import Connect, Place
from campaigns.models import Outcome
from core import clocks
from dialer import trunk_health, wishes
from dialer.models import CallAttempt
from dialer.transfers import Begun
from sipgateway import codes, recording_store
from sipgateway.conversations import Conversation
from sipgateway.errands import Errands
from sipgateway.flow_requests import FlowRequests
from sipgateway.media import Media
from sipgateway.models import SipCall
from sipgateway.names import Names
from sipgateway.note_writer import NoteWriter
from sipgateway.other_ends import OtherEnd
from sipgateway.outbound_calls import OutboundCall
from sipgateway.plans import CantBeMade, Plan
from sipgateway.prompts import Prompts
from sipgateway.recording_files import About, RecordingFile
from sipgateway.records import Note
from sipgateway.sip_stack import ED2, Stack, Timeout

# Seconds for conversations to end at a stop. Supervisors kill after ten.
STOPS_WITHIN = 6.0
STOPPED = "the SIP gateway was stopped"


@dataclass(frozen=True)
class Means:
    """What the calls of a gateway share.

    Attributes:
        host: the address that sound is bound to.
        is_stopping: is set before `CallsUp.stop`.
    """

    stack: Stack
    host: str
    names: Names
    writer: NoteWriter
    media: Media
    prompts: Prompts
    errands: Errands
    is_stopping: threading.Event


class CallsUp:
    """Makes calls, and is their surroundings."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self.stack = means.stack
        self.made = 0
        self._calls: dict[UUID, OutboundCall] = {}
        # Calls that wait for the name of their trunk.
        self._unresolved: dict[UUID, Plan] = {}

    def __len__(self) -> int:
        return len(self._calls) + len(self._unresolved)

    def attempt_ids(self) -> list[UUID]:
        """Return the attempts and legs of the calls that were begun."""
        return list(self._calls)

    # What is done with calls ---------------------------------------------------------------------------------------

    def start(self, plan: Plan | CantBeMade) -> None:
        """Make a call that was claimed."""
        if isinstance(plan, CantBeMade):
            ours = plan.is_our_fault
            outcome, code = (Outcome.FAILED, None) if ours else (Outcome.CANCELED, codes.NOT_SENT)
            self._end_unmade(plan.attempt_id, outcome, code, plan.reason)
        elif self._means.is_stopping.is_set():
            # It was claimed as the stop came: the loop may end before the call does.
            self._end_unmade(plan.attempt_id, Outcome.CANCELED, None, STOPPED)
        else:
            self._unresolved[plan.attempt_id] = plan
            self._means.names.resolve(plan.address.host, partial(ED2.callFromThread, self._make, plan))

    def _make(self, plan: Plan, ip: str) -> None:
        if self._unresolved.pop(plan.attempt_id, None) is None:
            return  # given back at the stop
        if not ip:
            reason = f"the host name {plan.address.host} can't be resolved"
            self._end_unmade(plan.attempt_id, Outcome.CANCELED, codes.NOT_SENT, reason)
            return
        self.made += 1
        call = self._calls[plan.attempt_id] = OutboundCall(replace(plan, ip=ip), self)
        call.start()

    def _ring(self, call: OutboundCall, begun: Plan | Begun) -> None:
        """Ring another number for a call, or let its flow go on without."""
        if isinstance(begun, Begun):
            assert isinstance(call.conversation, Conversation)
            call.conversation.connection_over(was_taken=begun.was_taken, may_try_others=begun.may_try_others)
            return
        leg = OutboundCall(begun, self, leg_of=call)
        if self._means.is_stopping.is_set() or not call.adopt(leg):
            self._end_unmade(begun.attempt_id, Outcome.CANCELED, None, "the call that it was for is over")
            return
        self._calls[begun.attempt_id] = leg
        leg.start()

    def _end_unmade(self, attempt_id: UUID, outcome: Outcome, code: int | None, reason: str) -> None:
        ending = {"outcome": outcome.value, "code": code, "reason": reason[:255]}
        self.note(Note(attempt_id, ending | {"status": SipCall.Status.ENDED, "ended_at": clocks.last_known_now()}))

    def hang_up(self, attempt_id: UUID) -> None:
        """End a call, where it is up."""
        if call := self._calls.get(attempt_id):
            call.hang_up()

    def stop(self, then: Callable[[], None]) -> None:
        """Cancel the calls that ring, let conversations end for some seconds, and call `then`."""
        for attempt_id in self._unresolved:
            self._end_unmade(attempt_id, Outcome.CANCELED, None, STOPPED)
        self._unresolved.clear()
        for call in list(self._calls.values()):
            if call.status != SipCall.Status.TALKING:
                call.hang_up(STOPPED)
        deadline = time.monotonic() + STOPS_WITHIN

        def end_soon() -> None:
            if time.monotonic() > deadline:
                for call in list(self._calls.values()):
                    call.let_go(STOPPED)
            if self._calls:
                Timeout(end_soon, 0.1)
            else:
                then()

        end_soon()

    # What they need ------------------------------------------------------------------------------------------------

    def note(self, note: Note) -> None:
        self._means.writer.note(note)

    def converse(self, call: OutboundCall) -> Conversation | OtherEnd:
        means = self._means
        if call.leg_of is not None:
            assert isinstance(call.leg_of.conversation, Conversation)  # a leg has none of its own
            return OtherEnd(call.leg_of.conversation, means.host, means.media)
        requests, plan = FlowRequests(call, self), call.plan
        return Conversation(requests, plan.document, means.host, means.media, means.prompts, plan.account_id)

    def ring_other(self, call: OutboundCall, connect: Connect) -> None:
        self._means.errands.begin_leg(call.plan, connect, partial(ED2.callFromThread, self._ring, call))

    def new_recording(self, attempt_id: UUID, place: Place, channels: int) -> RecordingFile:
        return RecordingFile(recording_store.folder(), About(uuid7(), attempt_id, str(place), channels))

    def keep_recording(self, file: Path) -> None:
        self._means.errands.keep_recording(file)

    def wishes(self, attempt_id: UUID, wish: str) -> None:
        self._means.writer.act(lambda: _store_wish(attempt_id, wish))

    def trunk_is_silent(self, trunk_id: int, reason: str) -> None:
        self._means.writer.act(lambda: trunk_health.took_no_call(trunk_id, reason, clocks.now()))

    def is_over(self, call: OutboundCall) -> None:
        self._calls.pop(call.plan.attempt_id, None)
        if call.leg_of is not None:
            call.leg_of.leg_over(call)


def _store_wish(attempt_id: UUID, wish: str) -> None:
    attempt = CallAttempt.objects.select_related("call", "campaign__account").get(pk=attempt_id)
    wishes.store(attempt.campaign.account, attempt, wish)
