"""Work that may take hours, such as deleting old rows: in slices, a second of them at a time.

Each slice is a transaction of its own. A process that dies loses the slice that it was at, and a worker is never so
busy with old rows that others wait for it.
"""

import time
from collections.abc import Iterator

from core.task_queue import enqueue_once, taken

# How long one task works, in seconds, before it enqueues itself behind what others have enqueued meanwhile.
TURN_SECONDS = 1.0


def take_turn(task: str, slices: Iterator[object]) -> None:
    """Do slices until none is left or the turn is over. Then the task is enqueued again.

    Args:
        task: the name of the task that calls this.
        slices: does a slice for each item that is taken from it.
    """
    taken(task)
    until = time.monotonic() + TURN_SECONDS
    for _ in slices:
        if time.monotonic() >= until:
            enqueue_once(task, task)
            return
