"""Sets the clock of one Python process: Python imports a module of this name at its start, where PYTHONPATH has it.

CHAOS_CLOCK names a file with the seconds by which the time of day is ahead; a change takes effect within a tenth of a
second. A file of that name with the suffix of CHAOS_PROCESS has those by which this process alone is ahead. The clock
that only counts (`time.monotonic`) goes on, as when an operator sets a machine's clock.

Such a process also asks name servers that never answer: `hanging_names`.
"""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOOK_SECONDS = 0.1


def _follow(file: Path) -> None:
    ahead, traveller = 0.0, None
    own = file.with_suffix(f".{os.environ.get('CHAOS_PROCESS', '')}")
    while True:
        wanted = float(file.read_text() or 0) + (float(own.read_text() or 0) if own.exists() else 0.0)
        if wanted != ahead:
            if traveller:
                traveller.stop()
            traveller = time_machine.travel(datetime.now(UTC) + timedelta(seconds=wanted), tick=True)
            traveller.start()
            ahead = wanted
        time.sleep(LOOK_SECONDS)


def _start() -> None:
    threading.Thread(target=_follow, args=(Path(os.environ["CHAOS_CLOCK"]),), daemon=True, name="clock").start()


if "CHAOS_CLOCK" in os.environ:
    import hanging_names  # type: ignore[import-not-found]  # beside this file

    hanging_names.install()
    # Imported before the thread runs: a fork in the middle of an import would leave half a module to the child.
    import time_machine

    os.register_at_fork(after_in_child=_start)
    _start()
