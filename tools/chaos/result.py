"""The result of a run."""

from collections.abc import Mapping
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
