"""The result of a run, and which runs were made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """Counts of rings and of what must be zero, times in seconds, and a sentence for each thing that went wrong."""

    fault: str
    seed: int
    rings: int
    double_rings: int
    lost: int
    cap_excess: int
    stall: float
    recovery: float | None
    seconds: float
    violations: tuple[str, ...]

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Result":
        """Return a result from the JSON object that a lane writes."""
        return cls(**{**fields, "violations": tuple(fields["violations"])})

    @classmethod
    def of_broken_system(cls, fault: str, seed: int, log: str) -> "Result":
        """Return the result of a run that could not be judged, as the system did not recover."""
        return cls(fault, seed, 0, 0, 0, 0, 0.0, None, 0.0, (f"the system did not recover: {log}",))


def spans(seeds: Iterable[int]) -> str:
    """Return seeds in short: `1-4, 7`."""
    found: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if found and found[-1][-1] == seed - 1:
            found[-1].append(seed)
        else:
            found.append([seed])
    return ", ".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in found)


def not_begun(wanted: Iterable[tuple[str, int]], made: Iterable[tuple[str, int]]) -> str:
    """Return in short which of the wanted runs, by fault and seed, were not made: `1a seeds 3-10; 5b seed 10`."""
    left: dict[str, list[int]] = {}
    known = set(made)
    for fault, seed in wanted:
        if (fault, seed) not in known:
            left.setdefault(fault, []).append(seed)
    return "; ".join(f"{fault} seed{'s' if len(seeds) > 1 else ''} {spans(seeds)}" for fault, seeds in left.items())
