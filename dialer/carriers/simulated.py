"""A carrier inside the process: scripted, instant, calls no phone. For tests and benchmarks.

Its events come with its reply and go through the real inbox. `script` holds, by number, what happens at each attempt in
turn (the last repeats): an outcome, or one of this driver's own words for a problem: `refused` (this number), `listed`
(in a register of people who want no calls), `account-refused` (whatever is asked for), `unavailable`,
`lost-before-ring`, `lost-after-ring`, `silent` (accepted, without an event ever).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.calling_rules import OPT_OUT
from accounts.carriers import CarrierKind, FoundBy
from campaigns.models import Outcome
from core import clocks
from dialer.carriers.base import (
    Accepted,
    Access,
    Ambiguous,
    CallRequest,
    CantList,
    CantTell,
    Carrier,
    Event,
    Listed,
    LookUp,
    NoSuchCall,
    Placed,
    RawEvent,
    Refused,
    Reply,
    TooLate,
    Unavailable,
    UnreadableEvent,
)

OUTCOMES = frozenset(Outcome.values)
TALK = timedelta(seconds=7)
# Calls that are remembered, at least. All would fill the memory of a process that dials millions in a benchmark.
REMEMBERED = 5_000


class SimulatedCarrier(Carrier):
    kind = CarrierKind(
        "simulated",
        "Simulated (in process, for tests)",
        needs_credentials=False,
        # It goes by our id. The dialer doubts its replies as those of a carrier that does not.
        found_by=frozenset({FoundBy.ITS_ID, FoundBy.NUMBER}),
        lists_calls=True,
        hangs_up=True,
        is_for_tests=True,
    )

    @classmethod
    def connect(cls, access: Access) -> "SimulatedCarrier":
        return cls()

    def __init__(self) -> None:
        self.script: dict[str, list[str]] = {}
        self.rings: list[CallRequest] = []
        self.listed: list[tuple[CallRequest, str, datetime]] = []
        self.lists_calls = True
        self.replies_to_look_ups = True
        self._asked: Counter[str] = Counter()

    def place(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
        replies: dict[UUID, Reply] = {}
        for request in requests:
            if clocks.last_known_now() > request.ask_before:
                replies[request.attempt_id] = TooLate()
                continue
            entries = self.script.get(request.number, [Outcome.COMPLETED.value])
            entry = entries[min(self._asked[request.number], len(entries) - 1)]
            replies[request.attempt_id] = self._reply(request, entry)
            self._asked[request.number] += 1
            if entry not in {"refused", "listed", "account-refused", "unavailable", "lost-before-ring"}:
                self.rings.append(request)
                self.listed.append((request, entry, clocks.last_known_now()))
        if len(self.rings) > 2 * REMEMBERED:
            del self.rings[:-REMEMBERED], self.listed[:-REMEMBERED]
            self._asked = Counter({number: self._asked[number] for number in self.script})
        return replies

    def look_up(self, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
        return {attempt.attempt_id: self._look_up(attempt.attempt_id) for attempt in placed}

    def hang_up(self, carrier_refs: Sequence[str]) -> Sequence[RawEvent]:
        return [(UUID(ref), {"status": Outcome.COMPLETED.value, "ref": ref}) for ref in carrier_refs]

    def list_calls(self, since: datetime) -> Iterator[Sequence[Listed]]:
        if not self.lists_calls:
            raise CantList("the script gives no list of calls")
        yield [_listed(request, entry, at) for request, entry, at in reversed(self.listed) if at >= since]

    @classmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        if payload.get("status") not in OUTCOMES | {"in-progress"}:
            raise UnreadableEvent(f"status {payload.get('status')!r} is not a call's")
        now = clocks.last_known_now()
        answered = payload["status"] == Outcome.COMPLETED
        return Event(
            status=payload["status"],
            carrier_ref=payload.get("ref", ""),
            answered_at={Outcome.COMPLETED.value: now - TALK, "in-progress": now}.get(payload["status"]),
            ended_at=now,
            duration_seconds=int(TALK.total_seconds()) if answered else None,
            digits=payload.get("digits", ""),
            reason=payload.get("reason", ""),
            names_number=payload.get("names_number", False),
            wish=payload.get("wish", ""),
        )

    @staticmethod
    def _reply(request: CallRequest, entry: str) -> Reply:
        match entry:
            case "refused":
                return Refused("the script refuses this number", 403, names_number=True)
            case "listed":
                return Refused("HTTP 403: in NDNC", 403, names_number=True, wish=OPT_OUT)
            case "account-refused":
                return Refused("HTTP 403: not yet KYC compliant", 403)
            case "unavailable":
                return Unavailable("the script says busy line", 503)
            case "lost-before-ring" | "lost-after-ring":
                return Ambiguous("the script loses the reply")
        ref = request.attempt_id.hex
        return Accepted(ref, events=({"status": entry, "ref": ref},) if entry in OUTCOMES else ())

    def _look_up(self, attempt_id: UUID) -> LookUp:
        if not self.replies_to_look_ups:
            return CantTell("the script gives no reply to look-ups")
        if any(ring.attempt_id == attempt_id for ring in self.rings):
            return Event(status="in-progress", carrier_ref=attempt_id.hex)
        return NoSuchCall()


def _listed(request: CallRequest, entry: str, at: datetime) -> Listed:
    ref = request.attempt_id.hex
    status = entry if entry in OUTCOMES else "in-progress"
    return Listed(request.number, request.caller_id, at, SimulatedCarrier.read_event({"status": status, "ref": ref}))
