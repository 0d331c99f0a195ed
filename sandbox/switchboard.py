"""The switchboard: places calls and takes each through ring, conversation and end.

A live call is one timer, not one task: a thousand of them cost almost nothing.
"""

import asyncio

from sandbox import clock
from sandbox.callbacks import CallbackSender
from sandbox.calls import Call, CallBook, CallRequest, new_call_sid
from sandbox.flow_cache import FlowCache
from sandbox.flow_runner import Callee, Conversation, run_flow
from sandbox.ring_log import Ring, RingLog, attempt_id_of
from sandbox.script import EMPTY_SCRIPT, parse_script
from sandbox.twiml_runner import TwimlRunner

TALK_SECONDS_WITHOUT_FLOW = 5.0


class Switchboard:
    """All calls. The script may be replaced at any time; live calls keep the plan they were placed with."""

    def __init__(self, flows: FlowCache, twiml: TwimlRunner, callbacks: CallbackSender) -> None:
        self.script = parse_script(EMPTY_SCRIPT)
        self.ring_log = RingLog()
        self.calls = CallBook()
        self._flows = flows
        self._twiml = twiml
        self._callbacks = callbacks
        self._loop = asyncio.get_running_loop()
        self._conversations: dict[Call, asyncio.Task[None]] = {}

    def place(self, request: CallRequest) -> Call:
        """Place a call. When this returns the ring is in the log and the call is `queued`; it rings at once.

        Over Twilio the script may let it wait for its turn: then its ring is logged when that comes.
        """
        at = clock.now()
        plan = self.script.next_plan(request.number, request.ring_timeout)
        attempt_id = attempt_id_of(request.status_callback)
        fault = self.script.faults.strike("repeat-sids")
        sid = (fault and self.calls.an_earlier_sid(fault.chance)) or new_call_sid(request)
        ring = Ring(request.number, request.caller_id, attempt_id, sid, at, concurrent=0)
        call = Call(request, ring, plan, self.script.time_scale, updated=at, created=at)
        self.calls.add(call)
        queue = self.script.faults.strike("queue-calls") if request.twilio else None
        if queue:
            call.is_queued = True
            call.timer = self._loop.call_later(queue.seconds * call.time_scale, self._begin, call)
        else:
            self._begin(call)
        return call

    def _begin(self, call: Call) -> None:
        call.is_queued = False
        self.ring_log.begin(call.ring, clock.now())
        self._tell_of_twilio(call, "initiated")
        self._loop.call_soon(self._ring, call)

    def hang_up(self, call: Call) -> None:
        """End a call now: `completed` if it was answered, `canceled` while it is queued, else `no-answer`.

        A call that has ended stays as it is.
        """
        if not call.is_live:
            return
        if call.is_queued:
            self._end(call, "canceled")
        elif call.ring.answer is None:
            self._end(call, "no-answer")
        else:
            self._hang_up_after(call, (clock.now() - call.ring.answer) / call.time_scale)

    def close(self) -> None:
        """Drop all live calls, without callbacks."""
        for call in self.calls.live():
            if call.timer is not None:
                call.timer.cancel()
        for task in self._conversations.values():
            task.cancel()

    def _ring(self, call: Call) -> None:
        if call.is_live:
            call.status, call.updated = "ringing", clock.now()
            self._callbacks.send(call, "ringing", self.script.faults)
            call.timer = self._loop.call_later(call.plan.ring * call.time_scale, self._ring_over, call)

    def _ring_over(self, call: Call) -> None:
        if call.plan.outcome != "completed":
            self._end(call, call.plan.outcome)
            return
        at = clock.now()
        self.ring_log.answered(call.ring, at)
        call.status, call.updated = "in-progress", at
        self._callbacks.send(call, "answered", self.script.faults)
        answered = self._loop.time()
        # Until the flow is known, only TimeLimit bounds the call.
        if call.request.time_limit is not None:
            self._end_conversation_at(call, answered, call.request.time_limit)
        converse = self._converse_over_twiml if call.request.twilio else self._converse
        task = self._conversations[call] = asyncio.create_task(converse(call, answered))
        task.add_done_callback(lambda _: self._conversations.pop(call, None))

    def _tell_of_twilio(self, call: Call, event: str) -> None:
        """Send an event that Exotel does not have."""
        if call.request.twilio:
            self._callbacks.send(call, event, self.script.faults)

    async def _converse_over_twiml(self, call: Call, answered: float) -> None:
        """Follow the documents, as long as the callee talks."""
        bounds = [seconds for seconds in (call.plan.talk, call.request.time_limit) if seconds is not None]
        if bounds:
            self._end_conversation_at(call, answered, min(bounds))
        await self._twiml.run(call)
        if call.is_live:
            self._hang_up_after(call, (self._loop.time() - answered) / call.time_scale)

    async def _converse(self, call: Call, answered: float) -> None:
        """Compute how long the conversation lasts and set its end. answered: a time of the loop's clock."""
        conversation = await self._conversation(call)
        if not call.is_live:
            return  # hung up while the flow was being fetched
        seconds = conversation.seconds
        if call.request.time_limit is not None:
            seconds = min(seconds, call.request.time_limit)
        call.conversation = conversation
        self._end_conversation_at(call, answered, seconds)

    async def _conversation(self, call: Call) -> Conversation:
        plan = call.plan
        steps = await self._flows.get(call.request.url)
        if steps is None:
            return Conversation(TALK_SECONDS_WITHOUT_FLOW if plan.talk is None else plan.talk, [])
        conversation = run_flow(steps, Callee(plan.digits, plan.digits_seed, plan.transfer))
        return conversation if plan.talk is None else conversation.cut_to(plan.talk)

    def _end_conversation_at(self, call: Call, answered: float, seconds: float) -> None:
        if call.timer is not None:
            call.timer.cancel()
        call.timer = self._loop.call_at(answered + seconds * call.time_scale, self._hang_up_after, call, seconds)

    def _hang_up_after(self, call: Call, seconds: float) -> None:
        """End an answered call with the keys that are pressed in so many seconds, before the time scale."""
        self._end(call, "completed", call.conversation.pressed_by(seconds))

    def _end(self, call: Call, outcome: str, digits: str = "") -> None:
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        conversation = self._conversations.get(call)
        if conversation is not None and conversation is not asyncio.current_task():
            conversation.cancel()
        at = clock.now()
        if call.is_queued:
            call.ring.end = at
        else:
            self.ring_log.ended(call.ring, at, outcome, digits)
        call.status, call.updated = outcome, at
        self.calls.finished(call)
        self._callbacks.send(call, "terminal", self.script.faults)
