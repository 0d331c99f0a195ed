"""What a run comes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """A run's line: counts of rings and of what must be zero, times in seconds, and what went wrong in words."""

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
        """From the JSON that a lane writes."""
        return cls(**{**fields, "violations": tuple(fields["violations"])})

    @classmethod
    def of_broken_system(cls, fault: str, seed: int, log: str) -> "Result":
        """Of a run after which the system did not get well again: nobody could judge it."""
        return cls(fault, seed, 0, 0, 0, 0, 0.0, None, 0.0, (f"the system did not get well again: {log}",))
