"""The file of a registry into the do-not-call list, and the list with ten million numbers."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tools.bench import servers
from tools.bench.figures import Row, at_least, at_most, row
from tools.bench.run import Run
from tools.bench.system import number
from tools.local.project import PROJECT

NAME = "registry"
# The lines of a single slice of the import, those that are measured, and the numbers of a whole registry.
SLICE, LINES, LISTED = 20_000, 2_000_000, 10_000_000
LOOK_SECONDS = 0.02


class _Import(NamedTuple):
    """What an import took: seconds, and its resident memory at the most, in megabytes."""

    lines: int
    seconds: float
    memory: float

    def rate_beyond(self, less: "_Import") -> float:
        """Return lines a second of those that an import of fewer did not have: without the start of its process."""
        return (self.lines - less.lines) / max(self.seconds - less.seconds, LOOK_SECONDS)


def measure(run: Run) -> list[Row]:
    """Measure the command that imports, then what the list costs where it is as long as a registry.

    The same numbers are imported with a later date too, as each month brings.
    """
    lines, listed = run.count(LINES, least=2 * SLICE), run.count(LISTED, least=100_000)
    run.say(f"an import of {lines:,} numbers, another one of the same, then {listed:,} on the list")
    folder = run.own_folder("registry")
    with servers.migrated(folder / "data") as variables:
        one_slice = _imported(folder / "slice.csv", SLICE, "2030-01-01", variables)
        first, again = (_imported(folder / "all.csv", lines, f"2030-0{month}-01", variables) for month in (2, 3))
        rounds = [sys.executable, "-m", "tools.bench.registry_rounds", str(listed)]
        told = subprocess.run(rounds, cwd=PROJECT, env=dict(variables), check=True, stdout=subprocess.PIPE, text=True)
    on, beside = f"import of a registry of {lines:,} numbers", f"with {listed:,} numbers on the do-not-call list"
    return [
        row(on, first.rate_beyond(one_slice), "lines/s", NAME, target=at_least(20_000)),
        row(f"{on}, with a later date", again.rate_beyond(one_slice), "lines/s", NAME, target=at_least(20_000)),
        row(f"{on}: memory above that of one slice", first.memory - one_slice.memory, "MB", NAME, target=at_most(20)),
        *(row(f"{beside}: {what}", took, "ms", NAME) for what, took in json.loads(told.stdout).items()),
    ]


def _imported(file: Path, lines: int, date: str, variables: Mapping[str, str]) -> _Import:
    with file.open("w") as rows:
        rows.writelines(f"{number(position)},2011-01-31\n" for position in range(lines))
    command = [sys.executable, "manage.py", "do_not_call", "import", str(file), "--kind", "bench", "--date", date]
    began, peak = time.monotonic(), 0
    with subprocess.Popen(command, cwd=PROJECT, env=dict(variables), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, _resident_kb(process.pid))
            time.sleep(LOOK_SECONDS)
    if process.returncode:
        raise OSError(f"the import has ended with {process.returncode}")
    return _Import(lines, time.monotonic() - began, peak / 1024)


def _resident_kb(pid: int) -> int:
    """Return the most memory that the process has had, in kB; 0 where it has just ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
