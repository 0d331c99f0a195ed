"""How long figures may take in a run of all, so that one that hangs costs the others nothing."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Of all together. A figure that has not begun by then is not measured.
WHOLE_SECONDS = 44 * 60
# Of one figure: about twice what it takes on two quiet cores.
SECONDS = 240
OTHERS = {
    "attempts": 600,
    "dispatch-cost": 360,
    "requests": 720,
    "soak": 900,
    "fair-share": 300,
    "dispatch-rules": 600,
    "registry": 420,
}


class OutOfTime(Exception):
    """A figure took too long. No OSError, which those who wait for a server take for "not yet"."""


class Budget:
    """The time that is left for a run of all figures."""

    def __init__(self) -> None:
        self._until = time.monotonic() + WHOLE_SECONDS

    @contextmanager
    def of(self, figure: str) -> Iterator[None]:
        """Raise OutOfTime within the block when the figure's time is over, or that of all. Main thread only."""
        seconds = min(OTHERS.get(figure, SECONDS), self._until - time.monotonic())
        if seconds <= 0:
            raise OutOfTime(f"the {WHOLE_SECONDS // 60} minutes of a run were over before it")

        def give_up(_signal: int, _frame: object) -> None:
            raise OutOfTime(f"not done within {seconds:.0f} s")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
