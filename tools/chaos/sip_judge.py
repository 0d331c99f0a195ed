"""What went wrong in a run over a SIP trunk, by what sipp heard and what the database says. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools import sipp_party
from tools.sipp_party import Ring

# Of a run's account, and how often a number may be rung: one retry.
CHANNELS = 10
MOST_RINGS = 2
# The last message of a call, in seconds, may come after the one that ends it.
AS_GOOD_AS_OVER = 0.5
ENDED = {"completed", "failed", "canceled"}
IN_DOUBT = {"claimed", "placing", "in-progress", "unknown"}


@dataclass(frozen=True)
class Found:
    """What the database says of a run.

    Attributes:
        calls: the status of each number's call.
        attempts: the number and the status of each attempt, by its id in 32 digits.
        legs: the outcome of each call to another number, by its id.
    """

    calls: Mapping[str, str]
    attempts: Mapping[str, tuple[str, str]]
    legs: Mapping[str, str]


@dataclass(frozen=True)
class Judged:
    """A run: counts of what must be zero, and a sentence for each thing that went wrong."""

    fault: str
    seed: int
    rings: int
    double: int
    lost: int
    over_cap: int
    seconds: float
    violations: list[str]


def judge(fault: str, seed: int, rings: Sequence[Ring], found: Found, seconds: float, problem: str) -> Judged:
    """Judge a run. rings: those of its numbers. problem: what kept it from its end; "" for nothing."""
    double = sipp_party.double_rings(rings)
    over_cap = max(sipp_party.most_at_once(rings) - CHANNELS, 0)
    lost = _lost(rings, found)
    violations = [problem] if problem else []
    violations += [f"{number} is lost" for number in lost]
    violations += [f"{double} attempts rang twice"] if double else []
    violations += [f"{CHANNELS + over_cap} calls were up at once"] if over_cap else []
    violations += _ring_by_ring(rings, found)
    violations += _twice_at_once(rings, found)
    violations += ["a leg has not ended" for outcome in found.legs.values() if not outcome]
    violations += [f"an attempt is still {status}" for _, status in found.attempts.values() if status in IN_DOUBT]
    return Judged(fault, seed, len(rings), double, len(lost), over_cap, seconds, violations)


def _lost(rings: Sequence[Ring], found: Found) -> list[str]:
    """Return the numbers that nothing came of: their call has not ended, or ended though nobody tried to make it."""
    tried = {number for number, _ in found.attempts.values()} | {ring.number for ring in rings}
    return [number for number, status in found.calls.items() if status not in ENDED or number not in tried]


def _twice_at_once(rings: Sequence[Ring], found: Found) -> list[str]:
    """Return the people whose phone was rung for a leg while an attempt to it was up, or the other way round."""
    violations = []
    for number in found.calls:
        own = sorted((ring for ring in rings if ring.number == number), key=lambda ring: ring.began)
        mixed = [pair for pair in pairwise(own) if any(ring.call_id in found.legs for ring in pair)]
        if any(later.began < earlier.ended - AS_GOOD_AS_OVER for earlier, later in mixed):
            violations.append(f"{number} was rung twice at once")
    return violations


def _ring_by_ring(rings: Sequence[Ring], found: Found) -> list[str]:
    violations = []
    for ring in rings:
        _, status = found.attempts.get(ring.call_id, ("", ""))
        if not status and ring.call_id not in found.legs:
            violations.append(f"{ring.number} was rung for no attempt, and no leg of one")
        elif status == "canceled":
            violations.append(f"{ring.number} was rung by an attempt that was given back")
    of_calls = Counter(ring.number for ring in rings if ring.call_id not in found.legs)
    violations += [f"{number} was rung {times} times" for number, times in of_calls.items() if times > MOST_RINGS]
    return violations
