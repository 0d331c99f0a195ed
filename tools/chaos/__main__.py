"""`make chaos`: every fault, many times, on several systems side by side; a table, and exit status 1 for any violation.

python -m tools.chaos [--rows 1a,4b] [--seeds 20] [--lanes 3] [--random SECONDS] [--first-seed 1]
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import django
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.chaos.result import Result
from tools.local import processes
from tools.local.signals import interrupt_on_stop_signals

if TYPE_CHECKING:
    from tools.chaos.faults import Row

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
# Wide enough for the table, also where nobody looks on.
# Where there is no bar to look at, a line after so many runs.
REPORT_EVERY = 25
# A lane stops its system: its processes within twenty seconds, then the servers.
STOP_SECONDS = 120
console = Console(width=None if sys.stdout.isatty() else 140)

Job = tuple[str, int, float]


def main() -> int:
    options = _parse()
    interrupt_on_stop_signals()
    rows = _rows()
    chosen = options.rows.split(",") if options.rows else list(rows)
    if unknown := [number for number in chosen if number not in rows]:
        raise SystemExit(f"--rows {','.join(unknown)}: there are {', '.join(rows)}")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    few = seeds[: options.few]
    jobs: list[Job] = (
        []
        if options.only_random
        else [(number, seed, 0.0) for seed in seeds for number in chosen if rows[number].is_race or seed in few]
    )
    if options.random:
        jobs.insert(0, ("random", options.first_seed, options.random))
    lanes = Lanes(options.lanes, options.keep_logs)
    results: list[Result] = []
    try:
        lanes.work(jobs, results)
    except KeyboardInterrupt:
        console.print("[yellow]stopped before its end")
        return 130
    finally:
        lanes.close()
        _print(results, rows)
    return 1 if len(results) < len(jobs) or any(each.violations for each in results) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Break a running Trunkline, and judge what it did.")
    parser.add_argument("--rows", help="only these faults, such as 1a,4b")
    parser.add_argument("--seeds", type=int, default=20, help="runs of each fault that is a race (%(default)s)")
    parser.add_argument("--few", type=int, default=2, help="runs of each fault that is none (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of the seeds (%(default)s)")
    parser.add_argument("--lanes", type=int, default=3, help="systems at work side by side (%(default)s)")
    parser.add_argument("--random", type=float, default=0, metavar="SECONDS", help="random faults for so long, too")
    parser.add_argument("--only-random", action="store_true", help="no rows")
    parser.add_argument("--keep-logs", type=Path, help="a folder for the lanes' own output")
    return parser.parse_args()


def _rows() -> "dict[str, Row]":
    """Faults by their number. They speak of models, so Django is set up, though nothing here asks a database."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATA_DIR"] = folder
        django.setup()
    from tools.chaos.faults import ROWS

    return {row.number: row for row in ROWS}


class Lanes:
    """Processes that take jobs from one queue, each on a system of its own."""

    def __init__(self, count: int, logs: Path | None) -> None:
        self._count = count
        self._logs = logs or Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
        self._logs.mkdir(parents=True, exist_ok=True)
        self._processes: list[processes.Process] = []
        self._closing = threading.Event()

    def work(self, jobs: Sequence[Job], results: list[Result]) -> None:
        """Adds a result for each job as it comes."""
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("breaking things", total=len(jobs))

            def take(result: Result) -> None:
                results.append(result)
                for words in result.violations:
                    console.print(f"[red]{result.fault} seed {result.seed}: {words}", highlight=False)
                progress.update(bar, advance=1)
                if not console.is_terminal and len(results) % REPORT_EVERY == 0:
                    console.print(f"{len(results)} runs")

            threads = [
                threading.Thread(target=self._lane, args=(number, waiting, take), daemon=True)
                for number in range(min(self._count, len(jobs)))
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.2)

    def close(self) -> None:
        """Their systems are stopped by themselves, when their input ends or a signal comes."""
        self._closing.set()
        processes.stop(self._processes, STOP_SECONDS)

    def _lane(self, number: int, waiting: "queue.SimpleQueue[Job]", take: Callable[[Result], None]) -> None:
        """Works until no job waits. A system that can't be mended is thrown away, and the next job gets a new one."""
        while not waiting.empty() and not self._closing.is_set():
            log = self._logs / f"lane-{number}.log"
            process = self._start(log)
            assert process.stdin is not None
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                console.print(f"[red]a lane did not start: {log}", highlight=False)
                return
            while not processes.has_ended(process):
                try:
                    row, seed, seconds = waiting.get_nowait()
                except queue.Empty:
                    break
                process.stdin.write(f"{row} {seed} {seconds}\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if self._closing.is_set():
                    return
                take(Result.read(json.loads(answer)) if answer else Result.of_broken_system(row, seed, str(log)))
                if not answer:
                    break
            process.stdin.close()
            process.wait()

    def _start(self, log: Path) -> processes.Process:
        data_dir = tempfile.mkdtemp(prefix="tl")  # short: the path of a socket is part of it
        with log.open("a") as output:
            command = [sys.executable, "-m", "tools.chaos.lane", data_dir]
            pipe = subprocess.PIPE
            process = processes.spawn(command, os.environ, stdin=pipe, stdout=pipe, stderr=output, text=True)
        self._processes.append(process)
        return process


def _print(results: Sequence[Result], rows: "Mapping[str, Row]") -> None:
    headings = ("", "fault", "runs", "rings", "double", "lost", "over cap", "longest stall", "recovery", "violations")
    table = Table(title="Trunkline under faults", caption="Stall and recovery: the longest of all runs, in seconds.")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for number in [*rows, "random"]:
        of_row = [each for each in results if each.fault == number]
        if not of_row:
            continue
        recovery = max((each.recovery for each in of_row if each.recovery is not None), default=None)
        violations = sum(len(each.violations) for each in of_row)
        table.add_row(
            number,
            rows[number].title if number in rows else "one fault after another, by chance",
            str(len(of_row)),
            f"{sum(each.rings for each in of_row):,}",
            str(sum(each.double_rings for each in of_row)),
            str(sum(each.lost for each in of_row)),
            str(max(each.cap_excess for each in of_row)),
            f"{max(each.stall for each in of_row):.1f}",
            "" if recovery is None else f"{recovery:.1f}",
            f"[red]{violations}" if violations else "[green]0",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
