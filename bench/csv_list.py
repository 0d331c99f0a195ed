"""A CSV file of 500,000 rows into a list, over HTTP and the real processes, beside the bare loop over its numbers."""

import time
from pathlib import Path

from bench import bare_loop
from bench.figures import Row, at_most, row
from bench.run import Run, cpu_seconds, watched
from bench.system import number, system
from scripts.stack import Client

NAME = "csv-list"
ROWS = 500_000
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 900


def measure(run: Run) -> list[Row]:
    """From the request to the last row loaded, times the cores that the loader used; and the memory it took.

    Memory is of the web processes, which take the file, and of the loader together.
    """
    rows = run.count(ROWS, least=1_000)
    run.say(f"a CSV file of {rows:,} rows")
    numbers = [number(position) for position in range(rows)]
    with system(run, "csv-list") as whole:
        client = whole.account("bench", channels=60)
        file = run.folder / "people.csv"
        file.write_text("number,first_name\n" + "".join(f"{each},Name {n}\n" for n, each in enumerate(numbers)))
        loaders = whole.processes("load@")
        used = cpu_seconds(loaders)
        with watched([*loaders, *whole.processes("gunicorn")]) as memory:
            seconds = _load(client, file, rows)
        cores = max(1.0, (cpu_seconds(loaders) - used) / seconds)
    bare = bare_loop.seconds(numbers)
    on = f"CSV list of {rows:,} rows over HTTP"
    return [
        row(
            f"{on}, time times {cores:.1f} cores used: beside a bare phonenumbers loop",
            seconds * cores,
            "s",
            NAME,
            limit=bare,
            target=at_most(1.3),
        ),
        row(f"{on}, peak memory above idle", memory.above_idle, "MB", NAME, target=at_most(150)),
    ]


def _load(client: Client, file: Path, expected: int) -> float:
    """Seconds from the request to the last row."""
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
