"""The ring log: which numbers were rung, when, for which attempt, and how many at once.

It is the judge in reliability tests. A ring is in it before the client gets a response, and stays.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.phone_numbers import same_number
from sandbox.script import OUTCOMES

# About half a kilobyte each. Beyond this the oldest are dropped from the list; the totals still count them.
MAX_RINGS = 2_000_000

ATTEMPT_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Ring:
    """One ring. Times are Unix seconds; concurrent counts the live calls when it started, itself included."""

    number: str
    caller_id: str
    attempt_id: str | None
    call_sid: str
    start: float
    concurrent: int
    answer: float | None = None
    end: float | None = None
    outcome: str | None = None
    digits: str = ""

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Totals:
    """Counts over rings. double_rings counts the rings beyond the first of each attempt id."""

    rings: int
    double_rings: int
    most_at_once: int
    answered: int
    live: int
    by_outcome: Counter[str]

    def as_json(self) -> dict[str, object]:
        counts = {name: getattr(self, name) for name in self.__slots__}
        return counts | {"by_outcome": {outcome: self.by_outcome[outcome] for outcome in OUTCOMES}}


def attempt_id_of(status_callback: str | None) -> str | None:
    """Return the client's id of the attempt: the last path segment of its StatusCallback URL, if that is a UUID.

    This is an agreement with Trunkline (`…/carrier-events/<attempt id>?token=…`), which Exotel does not know. A last
    segment of another shape names an endpoint, not an attempt.
    """
    if not status_callback:
        return None
    try:
        segment = urlsplit(status_callback).path.rpartition("/")[2]
    except ValueError:  # not a URL, such as http://[
        return None
    return segment if ATTEMPT_ID.fullmatch(segment) else None


def plain_id(attempt_id: str) -> str:
    """Return the id without dashes and in lower case, to compare ids in any spelling."""
    return attempt_id.replace("-", "").lower()


class RingLog:
    """All rings, in the order they started, and their totals."""

    def __init__(self, max_rings: int = MAX_RINGS) -> None:
        self._max_rings = max_rings
        self._rings: deque[Ring] = deque()
        self._rings_of_attempt: dict[str, int] = {}
        self.totals = totals_of(())

    def start(self, number: str, caller_id: str, attempt_id: str | None, call_sid: str, at: float) -> Ring:
        """Log a new ring."""
        ring = Ring(number, caller_id, attempt_id, call_sid, at, concurrent=0)
        self.begin(ring, at)
        return ring

    def begin(self, ring: Ring, at: float) -> None:
        """Log a ring that was made before, for a call that was queued."""
        totals = self.totals
        totals.rings += 1
        totals.live += 1
        totals.most_at_once = max(totals.most_at_once, totals.live)
        ring.start, ring.concurrent = at, totals.live
        self._append(ring)
        if ring.attempt_id is not None and self._rings_of_attempt[plain_id(ring.attempt_id)] > 1:
            totals.double_rings += 1

    def answered(self, ring: Ring, at: float) -> None:
        ring.answer = at
        self.totals.answered += 1

    def ended(self, ring: Ring, at: float, outcome: str, digits: str) -> None:
        ring.end, ring.outcome, ring.digits = at, outcome, digits
        self.totals.live -= 1
        self.totals.by_outcome[outcome] += 1

    def forget(self) -> None:
        """Forget the rings that have ended, and the totals. Live rings stay and are counted."""
        live = [ring for ring in self._rings if ring.end is None]
        self._rings.clear()
        self._rings_of_attempt.clear()
        for ring in live:
            self._append(ring)
        self.totals = totals_of(live)

    def snapshot(self) -> list[Ring]:
        """Return the rings as of now, in the order they started."""
        return list(self._rings)

    def _append(self, ring: Ring) -> None:
        if len(self._rings) >= self._max_rings:
            self._drop_oldest()
        self._rings.append(ring)
        if ring.attempt_id is not None:
            attempt = plain_id(ring.attempt_id)
            self._rings_of_attempt[attempt] = self._rings_of_attempt.get(attempt, 0) + 1

    def _drop_oldest(self) -> None:
        oldest = self._rings.popleft()
        if oldest.attempt_id is None:
            return
        # The ids go with their rings, so that memory stays bounded. Only rings of the list count as double.
        attempt = plain_id(oldest.attempt_id)
        self._rings_of_attempt[attempt] -= 1
        if not self._rings_of_attempt[attempt]:
            del self._rings_of_attempt[attempt]


@dataclass(frozen=True, slots=True)
class RingFilter:
    """Conditions of a list of rings; None matches all. Numbers and ids match in any spelling."""

    number: str | None = None
    attempt_id: str | None = None
    caller_id: str | None = None

    def is_empty(self) -> bool:
        return self.number is None and self.attempt_id is None and self.caller_id is None

    def matches(self, ring: Ring) -> bool:
        if self.number is not None and not same_number(self.number, ring.number):
            return False
        if self.attempt_id is not None and (
            ring.attempt_id is None or plain_id(self.attempt_id) != plain_id(ring.attempt_id)
        ):
            return False
        return self.caller_id is None or same_number(self.caller_id, ring.caller_id)


def totals_of(rings: Iterable[Ring]) -> Totals:
    """Count rings from their log entries alone."""
    rings = list(rings)
    rings_of_attempt = Counter(plain_id(ring.attempt_id) for ring in rings if ring.attempt_id is not None)
    return Totals(
        rings=len(rings),
        double_rings=rings_of_attempt.total() - len(rings_of_attempt),
        most_at_once=_most_at_once(rings),
        answered=sum(ring.answer is not None for ring in rings),
        live=sum(ring.end is None for ring in rings),
        by_outcome=Counter(ring.outcome for ring in rings if ring.outcome is not None),
    )


def _most_at_once(rings: list[Ring]) -> int:
    # Sorted as (moment, change), an end comes before a start of the same moment: the line was free again.
    changes = [(ring.start, 1) for ring in rings]
    changes += [(ring.end, -1) for ring in rings if ring.end is not None]
    changes.sort()
    most = up = 0
    for _, change in changes:
        up += change
        most = max(most, up)
    return most
