"""A CSV file of 500,000 rows into a list, over HTTP and the real processes, beside the bare loop over its numbers."""

import time
from dataclasses import dataclass
from pathlib import Path

from tools.bench import bare_loop
from tools.bench.arithmetic import median
from tools.bench.figures import FEWEST_PAIRS, Row, at_most, paired, row
from tools.bench.run import Run, cpu_seconds, watched
from tools.bench.system import System, number, system
from tools.stack import Client

NAME = "csv-list"
ROWS = 500_000
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class _Load:
    """What one upload took: seconds of CPU in the loader and in PostgreSQL, seconds on the clock, megabytes."""

    loader: float
    postgresql: float
    seconds: float
    memory: float

    @property
    def cost(self) -> float:
        """The time times the cores in use, at least one, so that waiting counts too."""
        return max(self.seconds, self.loader + self.postgresql)


def measure(run: Run) -> list[Row]:
    """Measure the time from the request to the last row, times the cores in use, and the memory that it takes.

    Each upload is of another account, whose address book is empty. The cores are those of the loader and PostgreSQL,
    the memory is that of the web processes, which take the file, and the loader together.
    """
    rows = run.count(ROWS, least=1_000)
    run.say(f"{FEWEST_PAIRS} times a CSV file of {rows:,} rows")
    numbers = [number(position) for position in range(rows)]
    file = run.folder / "people.csv"
    file.write_text("number,first_name\n" + "".join(f"{called},Name {n}\n" for n, called in enumerate(numbers)))
    loads, loops = [], []
    with system(run, "csv-list") as whole:
        for turn in range(FEWEST_PAIRS):
            loads.append(_measured(whole, whole.account(f"bench-{turn}", channels=60), file, rows))
            loops.append(bare_loop.seconds(numbers))
    on = f"CSV list of {rows:,} rows over HTTP"
    pairs = [(load.cost, loop) for load, loop in zip(loads, loops, strict=True)]
    beside = "time times the cores of loader and PostgreSQL: beside a bare phonenumbers loop"
    memory = max(load.memory for load in loads)
    return [
        paired(f"{on}, {beside}", pairs, "s", NAME, target=at_most(1.3)),
        row(f"CPU of a row, {on}: loader", median([load.loader for load in loads]) / rows * 1e6, "µs", NAME),
        row(f"CPU of a row, {on}: PostgreSQL", median([load.postgresql for load in loads]) / rows * 1e6, "µs", NAME),
        row(f"{on}, peak memory above idle", memory, "MB", NAME, target=at_most(150)),
    ]


def _measured(whole: System, client: Client, file: Path, rows: int) -> _Load:
    loaders, servers = whole.processes("load@"), whole.parts()["PostgreSQL"]
    before = cpu_seconds(loaders), cpu_seconds(servers)
    with watched([*loaders, *whole.processes("gunicorn")]) as memory:
        seconds = _load(client, file, rows)
    return _Load(cpu_seconds(loaders) - before[0], cpu_seconds(servers) - before[1], seconds, memory.above_idle)


def _load(client: Client, file: Path, expected: int) -> float:
    """Return the seconds from the request to the last row."""
    began = time.monotonic()
    with file.open("rb") as rows:
        files, form = {"file_name": rows}, {"list_name": "people"}
        sent = client.session.post(f"{client.base}/contacts/csv-upload", data=form, files=files, timeout=300)
    sent.raise_for_status()
    upload = sent.json()["response"]["data"]["summary"]["upload_id"]
    while time.monotonic() - began < PATIENCE_SECONDS:
        status = client.session.get(f"{client.base}/csv-status/{upload}", timeout=30).json()["response"]["data"]
        if status["status"] != "in-progress":
            if status["stats"]["success"] != expected:
                raise ValueError(f"not all rows were loaded: {status}")
            return time.monotonic() - began
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"not loaded after {PATIENCE_SECONDS} s")
