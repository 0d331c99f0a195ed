"""The interface of a carrier's driver, and replies that say whether a phone may have rung.

A driver translates between the carrier's protocol and these types. It decides nothing and stores nothing, but returns
what it has to tell. It may block for CARRIER_TIMEOUT_SECONDS and must place a batch concurrently. To add one, write a
subclass of Carrier in a module of this package and add its line to `dialer.carriers.DRIVERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from accounts.carriers import CarrierKind


@dataclass(frozen=True)
class Access:
    """A trunk's settings: the carrier's address, and the operator's credentials there in plain text.

    signing_key: what the carrier's signatures are checked with, where that is neither the token nor needed at all.
    """

    base_url: str
    account_sid: str
    api_key: str
    api_token: str = field(repr=False)
    signing_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Received:
    """A request that came to an address which a carrier was given.

    Attributes:
        url: as the carrier knows it.
        headers: are found by names in any case.
        body: a form or JSON, as it came.
    """

    url: str
    headers: Mapping[str, str]
    content_type: str
    body: bytes


class Detection(StrEnum):
    """What a carrier listens for when a call is answered. Only where its kind `detects_machines`."""

    NONE = ""
    MACHINE = "machine"
    END_OF_GREETING = "end-of-greeting"


@dataclass(frozen=True)
class CallRequest:
    """One call to place.

    Attributes:
        number, caller_id: in E.164.
        flow_id: the campaign's flow in the operator's account at the carrier; "" where a text of ours is read.
        flow_url: where a carrier that runs our flows reads it. Neither holds any text of a client.
        callback_url: carries the attempt's id and its token.
        ring_timeout, max_seconds: in seconds; how long the phone may ring, and how long the conversation may be.
        ask_before: a driver that has not sent the request by then must not send it any more and returns TooLate.
            Recovery relies on this when it looks for lost attempts, and so do the calling hours.
        detection: END_OF_GREETING: of a machine, the flow is asked for when its greeting is over.
        error_url: where a carrier that reads TwiML asks when it could not read a document; "" for others.
    """

    attempt_id: UUID
    number: str
    caller_id: str
    flow_id: str
    flow_url: str
    custom_field: str
    callback_url: str
    ring_timeout: int
    max_seconds: int
    ask_before: datetime
    detection: Detection = Detection.NONE
    error_url: str = ""


@dataclass(frozen=True)
class Accepted:
    """The carrier is dialling; events will follow.

    Attributes:
        carrier_ref: the carrier's id of the call.
        events: those that came with its reply, as `read_event` takes them.
    """

    carrier_ref: str
    events: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Refused:
    """The carrier will not place this call. No phone rang.

    Attributes:
        names_number: the reply says that this number is at fault, so that the call has failed for good. Otherwise our
            account, caller ID or flow at the carrier may be, and the next number would be refused as well.
        wish: of the person called, where the reply tells of it: `opt-out`, by a register of the carrier's.
    """

    reason: str
    http_status: int | None = None
    names_number: bool = False
    wish: str = ""


@dataclass(frozen=True)
class Unavailable:
    """The carrier takes no call at the moment. No phone rang, and the attempt is given back."""

    reason: str
    http_status: int | None = None


@dataclass(frozen=True)
class TooLate:
    """The request was not sent by its ask_before. The attempt is given back; that says nothing about the trunk."""


@dataclass(frozen=True)
class Ambiguous:
    """The reply was lost or makes no sense: a phone may be ringing. The carrier must be asked before anything else."""

    reason: str


Reply = Accepted | Refused | Unavailable | TooLate | Ambiguous


@dataclass(frozen=True)
class Event:
    """News of one attempt in our words, as far as it is known.

    Attributes:
        status: in-progress (the carrier has the call) or an outcome.
        started_at, answered_at, ended_at: by the carrier's clock: when the carrier began the call; when a person picked
            up (None where nobody did, or the carrier did not say); when it ended.
        received_at: by ours, when the news came; None: now. The inbox sets it.
        answered_by: human, machine or unknown, where the carrier was asked to tell; "" where this does not say.
        rang_at: when the phone began to ring, by news of that alone.
        was_withdrawn: it was canceled before anybody answered, perhaps before the phone rang.
        names_number: of a failed call: this number is at fault, so that the call has failed for good.
        wish: what the person called asks for about further calls, by the carrier: `refusal`, `opt-out` or "".
        is_guess: of a look-up: found by the number alone, so that it may be another attempt's call.
        caller_id: of a look-up by number: the number that the call comes from, "" where the carrier shows none.
    """

    status: str
    carrier_ref: str = ""
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    received_at: datetime | None = None
    duration_seconds: int | None = None
    digits: str = ""
    recording_url: str = ""
    reason: str = ""
    answered_by: str = ""
    rang_at: datetime | None = None
    was_withdrawn: bool = False
    names_number: bool = False
    wish: str = ""
    is_guess: bool = False
    caller_id: str = ""


@dataclass(frozen=True)
class NoSuchCall:
    """The carrier has looked and knows no such call."""


@dataclass(frozen=True)
class CantTell:
    """The carrier could not be asked, or its reply decides nothing; ask again later.

    Attributes:
        is_too_many: the carrier takes no more requests of us for now: 429, or 503.
        retry_after: then the seconds for which it wants to be left alone, where it says so.
    """

    reason: str
    is_too_many: bool = False
    retry_after: float | None = None


@dataclass(frozen=True)
class AnothersCall:
    """What the carrier has under the attempt's id is the call of another number: it has used the id again."""


@dataclass(frozen=True)
class Listed:
    """A call of the account that its carrier lists.

    Attributes:
        number, caller_id: in E.164, as far as the carrier shows them.
        created_at: by the carrier's clock.
        event: what a look-up by its id would tell.
    """

    number: str
    caller_id: str
    created_at: datetime
    event: Event


KEEPS_NO_LIST = "this carrier keeps no list of its calls"


class CantList(Exception):
    """The calls of an account can't be listed; the message says why."""


class NoReply(CantList):
    """The carrier did not reply, or takes no requests for now: it may list them later."""


LookUp = Event | NoSuchCall | CantTell | AnothersCall


@dataclass(frozen=True)
class Placed:
    """What is known of an attempt that is looked up.

    Attributes:
        carrier_ref: "" where it was lost with the reply; then the call has to be found by its number.
        known_refs: the carrier's ids of other attempts at the number that are as young. One that is listed twice is
            repeated, and decides nothing.
    """

    attempt_id: UUID
    number: str
    caller_id: str
    placing_at: datetime
    carrier_ref: str
    known_refs: frozenset[str] = frozenset()


# An event in the carrier's own words, as `read_event` takes it, and the attempt that it belongs to.
RawEvent = tuple[UUID, Mapping[str, Any]]


class UnreadableEvent(Exception):
    """The driver does not understand the carrier's event; the message says what is wrong with it."""


class Carrier(ABC):
    """A driver for one trunk. Threads share the instance."""

    kind: ClassVar[CarrierKind]

    @classmethod
    @abstractmethod
    def connect(cls, access: Access) -> "Carrier":
        """Return a driver for a trunk. Called once in a process for equal settings; sends nothing."""

    @abstractmethod
    def place(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
        """Ask for all these calls at once. Returns a reply for each attempt. Never raises for what the carrier does."""

    @abstractmethod
    def look_up(self, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
        """Ask what became of these attempts, by what the carrier can be asked for (`found_by`). Never raises."""

    def hang_up(self, carrier_refs: Sequence[str]) -> Sequence[RawEvent]:
        """End these calls. Returns the events that came with the carrier's reply; others follow. Never raises.

        Asked only of carriers whose kind `hangs_up`.
        """
        raise NotImplementedError

    def list_calls(self, since: datetime) -> Iterator[Sequence[Listed]]:
        """Yield the calls that the carrier was asked for since then, newest first, page by page.

        Asked only of carriers whose kind `lists_calls`.

        Raises:
            CantList: it could not be asked. What was yielded stands.
        """
        raise CantList(KEEPS_NO_LIST)

    def withdraw(self, queued: Mapping[UUID, str]) -> Sequence[RawEvent]:
        """Take back calls that wait at the carrier, and leave alone those whose phones ring. Never raises.

        Asked only of carriers whose kind `queues_calls`.

        Args:
            queued: the carrier's ids of the calls, by attempt.

        Returns:
            Events of those that the carrier has just said something about.
        """
        raise NotImplementedError

    @classmethod
    def is_genuine(cls, access: Access, request: Received) -> bool | None:
        """Tell whether the trunk's carrier has signed the request; None where the trunk has no key to check it with.

        Asked only of carriers whose kind `signs_requests`.
        """
        return None

    def problem(self) -> str:
        """Return what keeps it from placing any call, as far as can be told without one; "" where nothing does."""
        return ""

    @classmethod
    @abstractmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        """Translate what came to the callback address. Raises UnreadableEvent."""
