"""Places at which `make chaos` lets a process die, to see that nothing is lost there and nobody is rung twice.

A fault point is the moment between two steps that a crash can separate. FAULT_POINT=name:n in the environment of one
process kills it, and the pool that it belongs to, with SIGKILL when it reaches that point for the nth time. Without
the variable `reached` is an empty function.
"""

import os
import signal
from collections.abc import Callable

# In the order of a call's way through the system; docs/guarantees.md says what a crash at each of them costs.
NAMES = (
    "campaign-before-commit",
    "campaign-after-commit",
    "leased",
    "claimed",
    "published",
    "placing",
    "carrier-answered",
    "answer-kept",
    "event-before-commit",
    "event-after-commit",
    "inbox-before-commit",
    "inbox-after-commit",
)


def _nothing(_name: str) -> None:
    """In production."""


def _killer(armed: str) -> Callable[[str], None]:
    chosen, _, count = armed.partition(":")
    if chosen not in NAMES:
        raise ValueError(f"FAULT_POINT={armed}: there is no such fault point; there are {', '.join(NAMES)}")
    left = int(count or 1)

    def die_at(name: str) -> None:
        nonlocal left
        left -= name == chosen
        if left <= 0:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    return die_at


_armed = os.environ.get("FAULT_POINT", "")
reached: Callable[[str], None] = _killer(_armed) if _armed else _nothing
