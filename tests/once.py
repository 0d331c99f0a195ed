"""What every worker of a run needs is made by the first of them that comes to it; the others wait, and take that.

All workers start at the same moment and do the same, so otherwise each would make all of it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import RUN_FOLDER


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """Hold the run's lock of that name. Yields the file that is locked, which is empty at first."""
    path = Path(os.environ[RUN_FOLDER]) / name
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
