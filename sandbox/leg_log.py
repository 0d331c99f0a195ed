"""The log of legs: other numbers that calls were connected to as their documents said, when, and how that ended."""

from collections import deque
from dataclasses import dataclass

# About as large as rings. Beyond this the oldest are dropped.
MAX_LEGS = 200_000


@dataclass(slots=True, eq=False)
class Leg:
    """One ring of another number. Times are Unix seconds; attempt_id and parent_call_sid are those of the call."""

    number: str
    caller_id: str
    attempt_id: str | None
    parent_call_sid: str
    start: float
    answer: float | None = None
    end: float | None = None
    outcome: str | None = None

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


class LegLog:
    """All legs, in the order they started."""

    def __init__(self, max_legs: int = MAX_LEGS) -> None:
        self._legs: deque[Leg] = deque(maxlen=max_legs)

    def add(self, leg: Leg) -> None:
        self._legs.append(leg)

    def forget(self) -> None:
        """Forget the legs that have ended."""
        live = [leg for leg in self._legs if leg.end is None]
        self._legs.clear()
        self._legs.extend(live)

    def snapshot(self) -> list[Leg]:
        """Return the legs as of now, in the order they started."""
        return list(self._legs)
