"""Places at which `make chaos` lets a process die, to see that nothing is lost there and nobody is rung twice.

A failpoint is the moment between two steps that a crash can separate. FAILPOINT_FILE in the environment names a
file: while it says `name:n`, the first process that comes to that point for the nth time takes the file away and kills
itself with SIGKILL, and the pool that it belongs to. Without the variable `reached` is an empty function.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def _nothing(_name: str) -> None:
    """In production."""


def _killer(file: Path) -> Callable[[str], None]:
    met: Counter[str] = Counter()

    def die_at(name: str) -> None:
        with suppress(FileNotFoundError):
            armed = file.read_text()
            chosen, _, count = armed.partition(":")
            if name == chosen:
                met[armed] += 1
                if met[armed] >= int(count):
                    file.unlink()  # one process dies for it; another finds no file
                    met.clear()
                    os.killpg(os.getpgrp(), signal.SIGKILL)

    return die_at


_file = os.environ.get("FAILPOINT_FILE", "")
reached: Callable[[str], None] = _killer(Path(_file)) if _file else _nothing
