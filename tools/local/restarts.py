"""How long a process or a server that has ended waits for its next start."""

from dataclasses import dataclass

LONGEST_WAIT = 30.0
"""Seconds that a process that ends again and again waits at the most before it is started again."""


@dataclass
class Restarts:
    """How often a process has ended soon after its start, in a row, and whether it was ever healthy.

    Example: one that was healthy for an hour and then ends over and over is started at once, after 1, 2, 4 … 30 s.
    """

    was_healthy: bool = False
    failures: int = 0

    def wait_after(self, lived: float, healthy_after: float) -> float | None:
        """Note that it has lived for so long. Returns the seconds to wait before its next start, None for no start."""
        if lived >= healthy_after:
            self.was_healthy, self.failures = True, 0
            return 0.0
        if not self.was_healthy:
            return None
        self.failures += 1
        return min(float(1 << min(self.failures - 1, 10)), LONGEST_WAIT)
