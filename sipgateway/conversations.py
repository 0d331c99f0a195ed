"""What is said to a callee, and what the callee presses: the flow of an answered call, step by step.

Runs in the thread of sippy's loop. What other threads have to tell comes there first (`ED2.callFromThread`).
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

import structlog

from accounts.calling_rules import OPT_OUT, REFUSAL
from campaigns import flow_interpreter
from campaigns.flow_interpreter import Action, Ask, Connect, HangUp, OptOut, Play, Record, RecordCall, Refuse, Say
from sipgateway import sounds
from sipgateway.call_recordings import CallRecordings, Keeper
from sipgateway.keys_once import KeysOnce
from sipgateway.media import Line, Media
from sipgateway.prompts import Prompt, Prompts
from sipgateway.session_descriptions import Remote
from sipgateway.sip_stack import ED2, Timeout

log = structlog.get_logger(__name__)

# All keys of one call, as far as the report shows them.
MOST_KEYS = 255


class Caller(Keeper, Protocol):
    """The call that the conversation is of."""

    def noted_keys(self, keys: str) -> None:
        """Take all keys that were pressed in answer to a question so far."""

    def wishes(self, wish: str) -> None:
        """Store what the callee asks for about further calls: `opt-out`, or `refusal`."""

    def connect(self, connect: Connect) -> None:
        """Ring another number. The conversation is told what comes of it."""

    def flow_ended(self) -> None:
        """Hang up."""

    def fail(self, fault: Exception) -> None:
        """End the call for a fault of this program."""


class Conversation:
    """The flow of one call. Between two actions it waits: for sound to be made, to be said, or for keys."""

    def __init__(
        self,
        call: Caller,
        document: Mapping[str, Any],
        host: str,
        media: Media,
        prompts: Prompts,
        account_id: int,
    ) -> None:
        self._call = call
        self._document = document
        self._media = media
        self._prompts = prompts
        self._line: Line = media.open(host, self._in_loop(partial(self.press, by_sound=True)))
        self.port = self._line.port
        self._to_say: deque[Say | Play] = deque()
        self._to_do: deque[Action] = deque()
        self._asks: Ask | None = None
        self._pressed = ""
        self._keys = ""
        self._timer: Any = None
        self._is_over = False
        # Counts what is said. News of a sound that was hushed since, or followed by another, is old.
        self._said = 0
        self._keys_once = KeysOnce()
        self._connects: Connect | None = None
        self._other: Line | None = None
        self._records: Record | None = None
        self._recordings = CallRecordings(call, self._line)
        self._account_id = account_id
        prompts.warm(document, account_id)

    def begin(self, remote: Remote) -> None:
        """Start the flow: a person has picked up."""
        self._line.lead_to(remote)
        self._go_on(flow_interpreter.start(self._document))

    def move(self, remote: Remote) -> None:
        """Send the sound elsewhere."""
        self._line.lead_to(remote)

    def press(self, key: str, *, by_sound: bool = False) -> None:
        """Take a key. One that is pressed while nothing was asked says nothing."""
        if self._is_over or not self._keys_once.take(by_sound=by_sound):
            return
        if self._other is not None:
            self._other.press(key)
        if self._recordings.is_at_step and self._records and key == self._records.finish_key:
            self._end_recording()
            return
        if self._asks is None:
            return
        self._hush()
        if key == self._asks.finish_key:
            self._answer()
            return
        self._pressed += key
        self._keys = (self._keys + key)[:MOST_KEYS]
        self._call.noted_keys(self._keys)
        if len(self._pressed) >= self._asks.digits:
            self._answer()
        else:
            self._wait_for_key()

    def close(self) -> None:
        """End it, wherever it is."""
        if not self._is_over:
            self._is_over = True
            self._stop_waiting()
            self._recordings.close()
            self._part()
            self._media.close(self._line)

    # The flow ------------------------------------------------------------------------------------------------------

    def _go_on(self, actions: Sequence[Action]) -> None:
        self._to_do = deque(actions)
        self._next()

    def _next(self) -> None:
        """Do the next thing: what is still to be said comes first."""
        if self._is_over:
            return
        if self._to_say:
            self._say(self._to_say.popleft())
        elif self._connects is not None or self._recordings.is_at_step:
            pass  # it goes on when that call, or the recording, is over
        elif self._records is not None:
            self._record(self._records)
        elif self._asks is not None:
            self._wait_for_key()
        elif not self._to_do:
            self._call.flow_ended()
        else:
            self._do(self._to_do.popleft())

    def _do(self, action: Action) -> None:
        match action:
            case Say() | Play():
                self._to_say.append(action)
            case Ask(prompt=prompt):
                self._asks, self._pressed = action, ""
                self._to_say.extend(prompt)
            case OptOut():
                self._call.wishes(OPT_OUT)
            case Refuse():
                self._call.wishes(REFUSAL)
            case Connect():
                self._connects = action
                self._ring_back()
                self._call.connect(action)
            case Record():
                self._records = action
                if action.beep:
                    self._line.play(sounds.beep(), self._in_loop(partial(self._is_said, self._said)))
                    return
            case RecordCall():
                self._recordings.begin_call(action.place)
            case HangUp():
                self._call.flow_ended()
                return
        self._next()

    def _answer(self) -> None:
        """Go on with what was pressed, which may be nothing."""
        ask, self._asks = self._asks, None
        assert ask is not None
        self._stop_waiting()
        self._go_on(flow_interpreter.pressed(self._document, ask.place, self._pressed))

    def _wait_for_key(self) -> None:
        self._stop_waiting()
        assert self._asks is not None
        self._timer = Timeout(self._guarded(self._answer), self._asks.timeout)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # A recording ---------------------------------------------------------------------------------------------------

    def _record(self, record: Record) -> None:
        if not self._recordings.begin_step(record, self._in_loop(self._end_recording)):
            self._end_recording()

    def _end_recording(self) -> None:
        """Keep what was recorded, and go on."""
        record, self._records = self._records, None
        if record is not None:
            self._recordings.end_step()
            self._go_on(flow_interpreter.recorded(self._document, record.place))

    # Another call -----------------------------------------------------------------------------------------------------

    def connected_to(self, other: Line) -> None:
        """Let the callee talk to somebody else, who has just picked up."""
        if not self._is_over and self._connects is not None:
            self._said += 1
            self._line.hush()
            self._other = other
            self._media.connect(self._line, other)

    def press_for(self, other: Line, key: str) -> None:
        """Let the callee hear a key of the one who talks to it."""
        if other is self._other:
            self._line.press(key)

    def connection_over(self, *, was_taken: bool, may_try_others: bool = True) -> None:
        """Go on with the flow: the other call has ended, or could not be made."""
        connect, self._connects = self._connects, None
        if self._is_over or connect is None:
            return
        self._said += 1
        self._line.hush()
        self._part()
        self._go_on(
            flow_interpreter.connected(
                self._document, connect.place, was_taken=was_taken, may_try_others=may_try_others
            )
        )

    def _part(self) -> None:
        if self._other is not None:
            self._media.part(self._line, self._other)
            self._other = None

    def _ring_back(self) -> None:
        """Let the callee hear that another phone rings."""
        self._said += 1
        self._line.play(sounds.ring_back(), self._in_loop(partial(self._is_rung_back, self._said)))

    def _is_rung_back(self, said: int) -> None:
        if said == self._said:
            self._ring_back()

    # Sound ---------------------------------------------------------------------------------------------------------

    def _say(self, prompt: Prompt) -> None:
        self._said += 1
        sound = self._prompts.sound_of(prompt, self._account_id)
        if sound.done():
            self._play(self._said, sound)
        else:
            sound.add_done_callback(self._in_loop(partial(self._play, self._said)))

    def _play(self, said: int, sound: "Future[bytes]") -> None:
        if self._is_over or said != self._said:
            return
        made = sound.result()
        if made:
            self._line.play(made, self._in_loop(partial(self._is_said, said)))
        else:
            self._next()

    def _is_said(self, said: int) -> None:
        if said == self._said:
            self._next()

    def _hush(self) -> None:
        """Stop the prompt: an answer was begun."""
        self._said += 1
        self._to_say.clear()
        self._line.hush()
        self._stop_waiting()

    def _guarded(self, act: Callable[..., None]) -> Callable[..., None]:
        """End the call where this program fails on it: sippy would swallow the exception and leave the call up."""

        def guarded(*args: Any) -> None:
            try:
                if not self._is_over:
                    act(*args)
            except Exception as fault:
                log.exception("conversation_failed")
                self._call.fail(fault)

        return guarded

    def _in_loop(self, act: Callable[..., None]) -> Callable[..., None]:
        """Return a function that another thread may call: it runs in sippy's loop."""
        guarded = self._guarded(act)
        return lambda *args: ED2.callFromThread(guarded, *args)
