"""The limits that a run is judged by: calls at once, and starts in any minute."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.models import CallerId

# Seconds. A pace counts claims, and the ring log rings: a message to a dialer takes milliseconds, more on a busy
# machine.
ON_ITS_WAY = 1.0

Ring = Mapping[str, Any]


@dataclass
class Cap:
    """The most calls that these caller IDs may have up at once, all together.

    must_bind: whether the run fails where the cap was never reached, because nothing was tried then.
    """

    name: str
    channels: int
    caller_ids: list[CallerId]
    must_bind: bool = False


@dataclass(frozen=True)
class Pace:
    """The most calls that these campaigns may start in any minute, all together. The run fails where it never binds."""

    name: str
    per_minute: int
    campaigns: frozenset[str]


def most_at_once(rings: Sequence[Ring]) -> int:
    """Return the most of these calls that were up at the same moment; one that has not ended is up still."""
    changes = [(ring["start"], 1) for ring in rings]
    changes += [(ring["end"], -1) for ring in rings if ring["end"] is not None]
    most = up = 0
    # At one moment ends come first: the line was free again.
    for _, change in sorted(changes):
        up += change
        most = max(most, up)
    return most


def most_within(starts: Iterable[float], seconds: float) -> int:
    """Return the most of these moments that lie within so many seconds."""
    ordered: Sequence[float] = sorted(starts)
    most = first = 0
    for position, start in enumerate(ordered):
        while start - ordered[first] >= seconds:
            first += 1
        most = max(most, position - first + 1)
    return most
