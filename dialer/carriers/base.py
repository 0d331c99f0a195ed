"""What a carrier is to the dialer: four verbs, and answers that say whether a phone may have rung.

Drivers translate; they decide nothing and store nothing. A new one (SIP gateway, Twilio) is a module here and a line in
`dialer.carriers`. Drivers may block for as long as `CARRIER_TIMEOUT_SECONDS` and must place a batch concurrently.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from accounts.carriers import CarrierKind


@dataclass(frozen=True)
class Access:
    """The way to the carrier that a trunk stores: its address, and the operator's credentials in plain text."""

    base_url: str
    account_sid: str
    api_key: str
    api_token: str = field(repr=False)


@dataclass(frozen=True)
class CallRequest:
    """One call to place. Times in seconds; numbers in E.164; callback_url carries the attempt's id and its token.

    ask_before: a driver that has not sent the request by then must not send it any more and answers TooLate: who looks
    for lost attempts counts on it, and whoever must not be rung after the end of the calling hours.
    """

    attempt_id: UUID
    number: str
    caller_id: str
    flow_url: str
    custom_field: str
    callback_url: str
    ring_timeout: int
    max_seconds: int
    ask_before: datetime


@dataclass(frozen=True)
class Accepted:
    """The carrier is dialling; events will follow.

    carrier_ref is its id for the call. events: those that came with its reply, in its own words.
    """

    carrier_ref: str
    events: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Refused:
    """The carrier will not place this call, now or later: nobody was rung."""

    reason: str
    http_status: int | None = None


@dataclass(frozen=True)
class Unavailable:
    """The carrier takes no call at the moment: nobody was rung, and the attempt is given back."""

    reason: str
    http_status: int | None = None


@dataclass(frozen=True)
class TooLate:
    """The request was not sent by its ask_before: nobody was rung, the attempt is given back. No fault of the trunk."""


@dataclass(frozen=True)
class Ambiguous:
    """The answer was lost or makes no sense: a phone may be ringing. The carrier must be asked before anything else."""

    reason: str


Reply = Accepted | Refused | Unavailable | TooLate | Ambiguous


@dataclass(frozen=True)
class Event:
    """News of one attempt in our words. status is in-progress (the carrier has the call) or an outcome; the rest is
    filled as far as it is known: answered_at says that it was answered.
    """

    status: str
    carrier_ref: str = ""
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    digits: str = ""
    recording_url: str = ""
    reason: str = ""


@dataclass(frozen=True)
class NoSuchCall:
    """The carrier has looked and knows no such call."""


@dataclass(frozen=True)
class CantTell:
    """The carrier could not be asked, or its answer decides nothing; ask again later."""

    reason: str


LookUp = Event | NoSuchCall | CantTell


@dataclass(frozen=True)
class Placed:
    """What is known of an attempt whose fate is looked up. known_refs: the carrier's ids of other attempts."""

    attempt_id: UUID
    number: str
    caller_id: str
    placing_at: datetime
    carrier_ref: str
    known_refs: frozenset[str] = frozenset()


# An event in the carrier's own words, as `read_event` takes it, and the attempt that it belongs to.
RawEvent = tuple[UUID, Mapping[str, Any]]


class UnreadableEvent(Exception):
    """The carrier's message is not one that this driver understands; the message says what is wrong with it."""


class Carrier(ABC):
    """One trunk's driver. Instances are shared by threads."""

    kind: ClassVar[CarrierKind]

    @classmethod
    @abstractmethod
    def connect(cls, access: Access) -> "Carrier":
        """Return a driver for a trunk. Called once in a process for equal settings; sends nothing."""

    @abstractmethod
    def place(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
        """Asks for all these calls at once; answers for each attempt. Never raises for what the carrier does."""

    @abstractmethod
    def look_up(self, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
        """Asks what became of these attempts, by our id or whatever the carrier can be asked by. Never raises."""

    @abstractmethod
    def hang_up(self, carrier_refs: Sequence[str]) -> Sequence[RawEvent]:
        """End these calls as well as the carrier can. Returns the events that came with its reply; others follow."""

    @classmethod
    @abstractmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        """Translates what came to the callback address. Raises UnreadableEvent."""
