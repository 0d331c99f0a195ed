"""One call, from its INVITE to its end: what sippy tells of it becomes notes for the record.

Everything here runs in the thread of sippy's loop.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import structlog
from django.conf import settings

from campaigns.models import Outcome
from core import clocks, failpoints
from sipgateway import codes, invitations, session_descriptions
from sipgateway.call_ends import BYE, LEAVES_WITHIN, CallEnd
from sipgateway.call_timers import Timers
from sipgateway.conversations import Conversation
from sipgateway.models import SipCall
from sipgateway.other_ends import OtherEnd
from sipgateway.plans import Plan
from sipgateway.records import Note
from sipgateway.sip_stack import (
    CCEventConnect,
    CCEventDisconnect,
    CCEventFail,
    CCEventInfo,
    CCEventRedirect,
    CCEventRing,
    CCEventUpdate,
    TrunkCall,
)
from sipgateway.surroundings import Surroundings

log = structlog.get_logger(__name__)

Status = SipCall.Status

# Seconds that a trunk may take to end a call that we have cancelled (RFC 3261 9.1), before the call counts as ended.
CANCELS_WITHIN = 32.0
# Seconds from the silence of a trunk to the moment at which nothing can come any more: the INVITE's transaction, which
# began before it (RFC 3261 17.1.1.2, timer B), and some spare.
SILENT_FOR = 32.0
# Outcome and reason of a call whose trunk broke its silence.
RESPONDED_LATE = Outcome.FAILED.value, "the trunk responded only after it had been given up"


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """End the call where this program fails on it: sippy would swallow the exception and leave the call up."""

    @wraps(method)
    def guarded(call: "OutboundCall", *args: Any) -> None:
        try:
            method(call, *args)
        except Exception as fault:
            log.exception("sip_call_failed", attempt=call.plan.attempt_id.hex)
            call.fail(fault)

    return guarded


class OutboundCall:
    """The call of one attempt. It ends once, whatever is told of it later."""

    def __init__(self, plan: Plan, gateway: Surroundings, leg_of: "OutboundCall | None" = None) -> None:
        self.plan = plan
        self.leg_of = leg_of
        self.conversation: Conversation | OtherEnd | None = None
        self.status = Status.INVITING
        self._gateway = gateway
        self._timers = Timers()
        self._given_up: tuple[str, str] | None = None
        self._has_rung = False
        self._ua: Any = None
        self._end = CallEnd(self._write_end)

    # What is done ---------------------------------------------------------------------------------------------------

    @_guarded
    def start(self) -> None:
        """Send the INVITE, unless its time is over."""
        plan = self.plan
        if clocks.last_known_now() > plan.ask_before:
            self._finish(self._not_rung, reason="no SIP gateway took it in time")
            return
        failpoints.reached("sip-before-invite")
        self.conversation = self._gateway.converse(self)
        self._ua = TrunkCall(
            self._gateway.stack.settings,
            on_event=self._on_event,
            on_response=self._on_response,
            on_left=self._on_left,
            address=(plan.ip, plan.address.port),
            credentials=plan.credentials,
            expires=invitations.expires_of(plan),
            headers=invitations.headers_of(plan),
        )
        self._timers.start("silence", settings.SIP_SILENCE_SECONDS, self._on_silence)
        limit = plan.ring_timeout + plan.max_seconds + 60
        self._timers.start("sweep", limit, self.abandon, "it was up for longer than any call may be")
        self._ua.recvEvent(invitations.event_of(plan, self._gateway.stack.public_host, self.conversation.port))
        failpoints.reached("sip-after-invite")

    @_guarded
    def hang_up(self, reason: str = "hung up by this server") -> None:
        """End the call: by a CANCEL, or a BYE once it is answered."""
        if self._end.is_decided or self._given_up:
            return
        if self.status == Status.TALKING:
            self._leave(reason)
        else:
            self._give_up((Outcome.CANCELED if self.leg_of else Outcome.FAILED).value, reason)

    @_guarded
    def press(self, key: str) -> None:
        """Take a key of the callee."""
        if self.conversation and not self._end.is_decided:
            self.conversation.press(key)

    def adopt(self, leg: "OutboundCall") -> bool:
        """Take a second leg as a part of this call, which ends with it. False where this one is over."""
        if self._end.is_decided or self._given_up:
            return False
        self._end.wait_for(leg)
        return True

    def leg_over(self, leg: "OutboundCall") -> None:
        """Take that nothing of a second leg is up any more."""
        self._end.wait_no_more_for(leg)

    def fail(self, fault: Exception) -> None:
        """End the call for a fault of this program."""
        self.abandon(f"a fault of this server: {type(fault).__name__}")

    def abandon(self, reason: str) -> None:
        """End the call as well as that can be done, where anything may fail."""
        try:
            if self.status == Status.TALKING:
                self._leave(reason)
            elif self._ua is None:
                self._finish(Outcome.FAILED.value, reason=reason)
            elif not self._given_up or self.status == Status.SILENT:
                self._give_up(Outcome.FAILED.value, reason)
        except Exception:
            log.exception("sip_call_not_abandoned", attempt=self.plan.attempt_id.hex)
            self._finish(Outcome.FAILED.value, reason=reason)
            self._end.write()

    def let_go(self, reason: str) -> None:
        """End the call without waiting for the trunk: this gateway stops."""
        self.abandon(reason)
        if self._given_up:
            self._finish_given_up()
        self._end.write()

    # What is told ---------------------------------------------------------------------------------------------------

    @_guarded
    def _on_response(self, code: int, is_ours: bool, has_given_up: bool) -> None:
        """Take a response to the INVITE, before sippy acts on it."""
        if has_given_up:
            self._on_late_response(code, is_ours)
        elif code in {401, 407}:
            # The INVITE goes out again, with credentials. Without any, sippy tells the failure next.
            self._timers.start("silence", settings.SIP_SILENCE_SECONDS, self._on_silence)
        elif "silence" in self._timers:
            self._timers.stop("silence")
            self._timers.start("ring", self.plan.ring_timeout, self._on_ring_timeout)

    def _on_late_response(self, code: int, is_ours: bool) -> None:
        if self.status == Status.SILENT and not is_ours:
            meaning = codes.meaning_of(code, has_rung=False) if code >= 300 else None
            if (meaning is None or code == 487) and self._given_up != RESPONDED_LATE:
                # It took the call after all, and a phone may have rung. sippy sends the CANCEL only now.
                self._given_up = RESPONDED_LATE
                self._timers.start("cancel", CANCELS_WITHIN, self._finish_given_up)
        if 200 <= code < 300:
            self._end.wait_for(BYE)  # which sippy sends now
        if code >= 200:
            self._finish_given_up()

    @_guarded
    def _on_left(self) -> None:
        """Take that the trunk has responded to our BYE, or will not any more."""
        self._end.wait_no_more_for(BYE)

    @_guarded
    def _on_event(self, event: Any) -> None:
        if self._end.is_decided:
            return
        match event:
            case CCEventRing():
                self._on_progress(int(event.getData()[0]))
            case CCEventConnect():
                self._on_answer(event)
            case CCEventFail() | CCEventRedirect():
                code, words, *_ = event.getData()
                meaning = codes.meaning_of(int(code), has_rung=self._has_rung)
                outcome = self._not_rung if meaning.outcome == Outcome.CANCELED else meaning.outcome
                self._finish(outcome, code=int(code), reason=f"{code} {words}")
            case CCEventDisconnect() if not self._given_up:
                self._finish(Outcome.COMPLETED.value, reason="the callee hung up")
            case CCEventInfo():
                self._on_info(str(event.getData() or ""))
            case CCEventUpdate():
                self._on_new_description(event)

    def _on_progress(self, code: int) -> None:
        now = clocks.last_known_now()
        if code == 100 and self.status == Status.INVITING:
            self.status = Status.TRYING
            self._note(status=Status.TRYING, trying_at=now)
        elif code > 100 and not self._has_rung:
            self._has_rung = True
            self.status = Status.RINGING
            self._note(status=Status.RINGING, ringing_at=now)

    def _on_answer(self, event: Any) -> None:
        if self.status == Status.TALKING:
            return
        self._timers.stop("ring")
        self.status = Status.TALKING
        self._note(status=Status.TALKING, answered_at=clocks.last_known_now(), dialog=self._ua.dialog())
        remote = session_descriptions.read(str(event.getData()[2] or ""))
        if remote is None:
            self._timers.start("begin", 0.0, self.hang_up, "the trunk's answer has no sound that is known here")
            return
        self._timers.start("talk", self.plan.max_seconds, self.hang_up, "the longest conversation was over")
        # After this callback: sippy sends the ACK when it returns, and a BYE must not overtake it.
        self._timers.start("begin", 0.0, self._begin, remote)

    @_guarded
    def _begin(self, remote: session_descriptions.Remote) -> None:
        assert self.conversation is not None
        self.conversation.begin(remote)

    def _on_new_description(self, event: Any) -> None:
        """Take a re-INVITE: the sound goes elsewhere, or is held."""
        remote = session_descriptions.read(str(event.getData() or ""))
        if remote is not None and self.conversation is not None:
            self.conversation.move(remote)
        answer = CCEventConnect((200, "OK", self._ua.lSDP.getCopy()), rtime=event.rtime)
        self._ua.recvEvent(answer)

    def _on_info(self, body: str) -> None:
        key = session_descriptions.key_of_info(body)
        if key:
            self.press(key)

    @_guarded
    def _on_silence(self) -> None:
        """Give up a trunk that does not respond: it, not the number, is at fault.

        Its INVITE is sent no more, but the call ends only when no response can come any more, so that a trunk that
        was merely slow rings no phone twice.
        """
        self.status = Status.SILENT
        reason = f"no response from the trunk within {settings.SIP_SILENCE_SECONDS:g} s"
        self._note(status=Status.SILENT)
        self._gateway.trunk_is_silent(self.plan.trunk_id, reason)
        self._ua.stop_retransmitting()
        self._given_up = self._not_rung, reason
        self._hush()
        self._timers.start("cancel", SILENT_FOR, self._finish_given_up)
        self._ua.disconnect()

    @_guarded
    def _on_ring_timeout(self) -> None:
        self._give_up(Outcome.NO_ANSWER.value, f"not answered within {self.plan.ring_timeout} s")

    # How ------------------------------------------------------------------------------------------------------------

    def _give_up(self, outcome: str, reason: str) -> None:
        """Cancel the call. It ends with the trunk's last response, so that its channel is free by then."""
        self._timers.stop("silence")
        self._timers.stop("ring")
        self._given_up = outcome, reason
        self._hush()
        self._timers.start("cancel", CANCELS_WITHIN, self._finish_given_up)
        self._ua.disconnect()

    def _finish_given_up(self) -> None:
        assert self._given_up is not None
        outcome, reason = self._given_up
        self._finish(outcome, reason=reason)

    def _leave(self, reason: str) -> None:
        """Hang up. The call ends with the trunk's response to the BYE, so that its channel is free by then."""
        if not self._end.is_decided:
            self._end.wait_for(BYE)
            self._finish(Outcome.COMPLETED.value, reason=reason)
            self._ua.disconnect()

    def _finish(self, outcome: str, code: int | None = None, reason: str = "") -> None:
        """Decide what became of the call, and let go what belongs to it."""
        if self._end.is_decided:
            return
        self._end.decide(outcome, code, reason)
        self._timers.stop_all()
        self._hush()
        for leg in self._end.awaited:
            if isinstance(leg, OutboundCall):
                leg.hang_up("the call that it was connected to is over")
        self._timers.start("close", LEAVES_WITHIN, self._end.write)
        self._end.write_if_free()

    def _write_end(self, columns: Mapping[str, Any]) -> None:
        self._timers.stop_all()
        self._note(**columns)
        self._gateway.is_over(self)

    def _hush(self) -> None:
        if self.conversation is not None:
            self.conversation.close()

    def _note(self, **columns: Any) -> None:
        self._gateway.note(Note(self.plan.attempt_id, columns, is_news="trying_at" not in columns))

    @property
    def _not_rung(self) -> str:
        """The outcome where no phone rang: an attempt is given back, and the flow of a leg goes on without it."""
        return (Outcome.FAILED if self.leg_of else Outcome.CANCELED).value
