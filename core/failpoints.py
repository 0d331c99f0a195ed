"""Points at which `make chaos` kills or holds a process, to check that nothing is lost and nothing is done twice.

A failpoint is the moment between two steps that a crash, or a change by another process, can separate. FAILPOINT_FILE
in the environment names a file. While that file says `name:n`, the first process that reaches the point for the nth
time deletes the file and kills itself and its process group with SIGKILL. While it says `name:n:hold`, that process
renames the file, so that it ends in `.held`, and goes on when it is deleted. Without the variable `reached` is an empty
function.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Seconds after which a process goes on by itself. Below the 30 s after which the database ends an idle transaction.
HELD_AT_MOST = 20.0


def _nothing(_name: str) -> None:
    """Do nothing, as in production."""


def held_file(file: Path) -> Path:
    """Return the file that exists while a process is held."""
    return file.with_suffix(".held")


def _breaker(file: Path) -> Callable[[str], None]:
    met: Counter[str] = Counter()

    def break_at(name: str) -> None:
        with suppress(FileNotFoundError):
            armed = file.read_text()
            chosen, count, *how = armed.split(":")
            if name != chosen:
                return
            met[armed] += 1
            if met[armed] < int(count):
                return
            # Only the process or thread that renames or deletes the file stops here; for another one that raises.
            if how == ["hold"]:
                file.rename(held_file(file))
                met.clear()
                _wait_until_let_go(held_file(file))
            else:
                file.unlink()
                os.killpg(os.getpgrp(), signal.SIGKILL)

    return break_at


def _wait_until_let_go(held: Path) -> None:
    deadline = time.monotonic() + HELD_AT_MOST
    while held.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


_file = os.environ.get("FAILPOINT_FILE", "")
reached: Callable[[str], None] = _breaker(Path(_file)) if _file else _nothing
