"""Calls as Exotel shows them, and the book in which all are found."""

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from sandbox import clock
from sandbox.flow_runner import Conversation
from sandbox.phone_numbers import same_number, to_exotel
from sandbox.ring_log import Ring
from sandbox.script import CallPlan

STATUSES = ("queued", "ringing", "in-progress", "completed", "failed", "busy", "no-answer")

# About a kilobyte and a half each. Enough for a client to find a call whose response it has lost.
MAX_FINISHED_CALLS = 500_000
# A sid that is given again is that of one of so many calls before it, live or ended.
REPEATED_FROM = 20


@dataclass(frozen=True, slots=True)
class TwilioOptions:
    """What a request over Twilio's API has beside.

    Attributes:
        token: signs what the sandbox asks of the client.
        fallback_url: asked instead of an address whose document can't be read; "" for none.
    """

    token: str
    events: frozenset[str]
    detects_machines: bool = False
    fallback_url: str = ""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A checked connect request.

    number is E.164; time_limit and ring_timeout are seconds before the time scale. callback_events is None when the
    request names no events; a callback then has fewer fields. twilio is None for a request over Exotel's API.
    """

    account_sid: str
    number: str
    caller_id: str
    url: str
    status_callback: str | None = None
    callback_events: frozenset[str] | None = None
    callback_json: bool = False
    custom_field: str | None = None
    time_limit: int | None = None
    ring_timeout: int | None = None
    twilio: TwilioOptions | None = None


@dataclass(slots=True, eq=False)
class Call:
    """One call. Its ring holds the times, its plan what will happen. created: when it was asked for."""

    request: CallRequest
    ring: Ring
    plan: CallPlan
    time_scale: float
    updated: float
    created: float
    status: str = "queued"
    conversation: Conversation = field(default_factory=lambda: Conversation(0, []))
    timer: asyncio.TimerHandle | None = None
    # No phone rings before its turn comes: its ring is not in the log yet.
    is_queued: bool = False

    @property
    def sid(self) -> str:
        return self.ring.call_sid

    @property
    def is_live(self) -> bool:
        return self.ring.end is None

    @property
    def conversation_seconds(self) -> int:
        """Return the whole seconds between answer and end, by the wall clock; 0 until both are known."""
        ring = self.ring
        return 0 if ring.answer is None or ring.end is None else round(ring.end - ring.answer)

    def as_json(self, *, details: bool = False) -> dict[str, object]:
        """Return the `Call` object of Exotel's v1 API. CustomField and Digits are extensions of the sandbox."""
        ring, request = self.ring, self.request
        shown: dict[str, object] = {
            "Sid": self.sid,
            "ParentCallSid": None,
            "DateCreated": clock.to_wire(self.created),
            "DateUpdated": clock.to_wire(self.updated),
            "AccountSid": request.account_sid,
            "To": request.caller_id,
            "From": to_exotel(request.number),
            "PhoneNumberSid": request.caller_id,
            "Status": self.status,
            "StartTime": clock.to_wire(ring.start),
            "EndTime": clock.to_wire(ring.end),
            "Duration": None if ring.end is None else str(round(ring.end - ring.start)),
            "Price": None,
            "Direction": "outbound-api",
            "AnsweredBy": None,
            "ForwardedFrom": None,
            "CallerName": None,
            "Uri": f"/v1/Accounts/{request.account_sid}/Calls/{self.sid}.json",
            "RecordingUrl": None,
            "CustomField": request.custom_field,
            "Digits": ring.digits,
        }
        if details:
            shown["Details"] = {"ConversationDuration": self.conversation_seconds, "Leg1Status": self.status}
        return shown


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Conditions of a list of calls; None matches all. Times are Unix seconds, both ends included."""

    account_sid: str
    number: str | None = None
    caller_id: str | None = None
    status: str | None = None
    created_from: float | None = None
    created_to: float | None = None

    def matches(self, call: Call) -> bool:
        # Dates are compared as they are shown, in whole seconds: a call is found by its own DateCreated.
        created = int(call.created)
        return (
            call.request.account_sid == self.account_sid
            and (self.status is None or call.status == self.status)
            and (self.created_to is None or created <= self.created_to)
            and (self.created_from is None or created >= self.created_from)
            and (self.caller_id is None or same_number(self.caller_id, call.request.caller_id))
        )


def new_call_sid(request: CallRequest) -> str:
    """Return an id as the carrier makes them whose API was asked: Twilio's begin with CA."""
    return ("CA" if request.twilio else "") + uuid.uuid4().hex


class CallBook:
    """Calls by sid and by number: all live calls, and the newest of the finished ones."""

    def __init__(self, max_finished: int = MAX_FINISHED_CALLS) -> None:
        self._max_finished = max_finished
        # In the order in which they were placed.
        self._calls: dict[Call, None] = {}
        # A sid that is given again is that of the newest of its calls.
        self._by_sid: dict[str, Call] = {}
        self._by_number: dict[str, deque[Call]] = {}
        self._finished: deque[Call] = deque()

    def add(self, call: Call) -> None:
        self._calls[call] = None
        self._by_sid[call.sid] = call
        self._by_number.setdefault(call.request.number, deque()).append(call)

    def finished(self, call: Call) -> None:
        """Record that a call has ended. The one that ended longest ago may be dropped for it."""
        self._finished.append(call)
        if len(self._finished) > self._max_finished:
            self._drop(self._finished.popleft())

    def get(self, account_sid: str, call_sid: str) -> Call | None:
        call = self._by_sid.get(call_sid)
        return call if call is not None and call.request.account_sid == account_sid else None

    def live(self) -> list[Call]:
        return [call for call in self._calls if call.is_live]

    def an_earlier_sid(self, chance: random.Random) -> str | None:
        """Return the sid of one of the calls that were placed last, or None before the first."""
        newest = list(islice(reversed(self._calls), REPEATED_FROM))
        return chance.choice(newest).sid if newest else None

    def find(self, wanted: CallFilter) -> list[Call]:
        """Return the calls that match, newest first. Fast by number; otherwise it walks back to created_from."""
        newest_first: Iterable[Call]
        if wanted.number is not None:
            newest_first = reversed(self._by_number.get(wanted.number, ()))
        else:
            newest_first = reversed(self._calls)
        found = []
        for call in newest_first:
            if wanted.created_from is not None and int(call.created) < wanted.created_from:
                break
            if wanted.matches(call):
                found.append(call)
        return found

    def _drop(self, call: Call) -> None:
        del self._calls[call]
        if self._by_sid.get(call.sid) is call:
            del self._by_sid[call.sid]
        calls = self._by_number[call.request.number]
        calls.remove(call)  # near the left end: it is the oldest, or nearly so
        if not calls:
            del self._by_number[call.request.number]
