"""Whether sippy's loop turns. A gateway whose loop stands still would claim calls and make none."""

import time

from sipgateway.sip_stack import Timeout

TURN_EVERY = 1.0
# Seconds for which the loop may stand still before the process ends itself.
MAX_STANDSTILL = 10.0


class StandsStill(Exception):
    """A part of this process does nothing any more."""


class LoopPulse:
    """Is felt by the loop's own timer, and looked at by other threads."""

    def __init__(self) -> None:
        self._turned_at = time.monotonic()

    def start(self) -> None:
        """Begin, in the loop's thread."""
        Timeout(self._turn, TURN_EVERY, -1)

    def _turn(self) -> None:
        self._turned_at = time.monotonic()

    @property
    def is_there(self) -> bool:
        """Whether the loop has turned lately."""
        return time.monotonic() - self._turned_at <= MAX_STANDSTILL

    def require(self) -> None:
        """Raise StandsStill where it has not."""
        if not self.is_there:
            raise StandsStill(f"sippy's loop, for {MAX_STANDSTILL:.0f} s")
