"""A CSV file of 500,000 rows into a list, over HTTP and the real processes, beside the bare loop over its numbers.

The loop parses and validates each number with phonenumbers, as any loader must, and does nothing else.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import phonenumbers
import psutil

from scripts.stack import Client, Stack, running

ROWS = 500_000
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 900
MB = 1024 * 1024


def measure() -> Iterator[tuple[str, str, str, str]]:
    """Rows of figure, value, what it is measured beside, ratio."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data", {"LOG_LEVEL": "WARNING"}) as stack:
        client = stack.create_account("bench", "--requests-per-minute", "100000")
        file = Path(folder) / "people.csv"
        file.write_text("number,first_name\n" + "".join(f"{number},Name {n}\n" for n, number in enumerate(_numbers())))
        loader = _process(stack, "load@")
        idle = loader.memory_info().rss
        seconds, peak = _load(client, file, loader)
    bare = _bare_loop()
    yield (
        "CSV list of 500,000 rows",
        f"{ROWS / seconds:,.0f} rows/s",
        f"bare loop {ROWS / bare:,.0f}/s",
        f"{seconds / bare:.2f}",
    )
    yield "its peak memory above idle", f"{(peak - idle) / MB:.0f} MB", f"idle {idle / MB:.0f} MB", ""


def _numbers() -> Iterator[str]:
    return (f"+9198{number:08d}" for number in range(10_000_000, 10_000_000 + ROWS))


def _process(stack: Stack, name: str) -> psutil.Process:
    """The worker of that host name among the stack's processes."""
    for process in psutil.process_iter(["cmdline", "environ"]):
        environ = process.info["environ"] or {}
        command = " ".join(process.info["cmdline"] or [])
        if environ.get("DATA_DIR") == str(stack.data_dir) and name in command and "celery" in command:
            return process
    raise LookupError(f"no process of the stack is called {name}")


def _load(client: Client, file: Path, loader: psutil.Process) -> tuple[float, int]:
    """Seconds from the request to the last row, and the loader's largest resident memory on the way, in bytes."""
    began, peak = time.monotonic(), 0
    with file.open("rb") as rows:
        form = {"list_name": "people"}
        sent = client.session.post(
            f"{client.base}/contacts/csv-upload", data=form, files={"file_name": rows}, timeout=300
        )
    sent.raise_for_status()
    upload = sent.json()["response"]["data"]["summary"]["upload_id"]
    while time.monotonic() - began < PATIENCE_SECONDS:
        peak = max(peak, loader.memory_info().rss)
        status = client.session.get(f"{client.base}/csv-status/{upload}", timeout=30).json()["response"]["data"]
        if status["status"] != "in-progress":
            if status["stats"]["success"] != ROWS:
                raise RuntimeError(f"not all rows were loaded: {status}")
            return time.monotonic() - began, peak
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"not loaded after {PATIENCE_SECONDS} s")


def _bare_loop() -> float:
    """Seconds."""
    began = time.monotonic()
    for number in _numbers():
        phonenumbers.is_valid_number(phonenumbers.parse(number, "IN"))
    return time.monotonic() - began
