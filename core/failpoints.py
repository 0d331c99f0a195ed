"""Points at which `make chaos` kills a process, to check that nothing is lost and nothing is done twice.

A failpoint is the moment between two steps that a crash can separate. FAILPOINT_FILE in the environment names a file.
While that file says `name:n`, the first process that reaches the point for the nth time deletes the file and kills
itself and its process group with SIGKILL. Without the variable `reached` is an empty function.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def _nothing(_name: str) -> None:
    """Do nothing, as in production."""


def _killer(file: Path) -> Callable[[str], None]:
    met: Counter[str] = Counter()

    def die_at(name: str) -> None:
        with suppress(FileNotFoundError):
            armed = file.read_text()
            chosen, _, count = armed.partition(":")
            if name == chosen:
                met[armed] += 1
                if met[armed] >= int(count):
                    file.unlink()  # only the process that deletes it dies; for another one unlink raises
                    met.clear()
                    os.killpg(os.getpgrp(), signal.SIGKILL)

    return die_at


_file = os.environ.get("FAILPOINT_FILE", "")
reached: Callable[[str], None] = _killer(Path(_file)) if _file else _nothing
