"""`make chaos`: every fault, many times, on several systems side by side; a table, and exit status 1 for any violation.

python -m tools.chaos [--rows 1a,4b] [--seeds 20] [--lanes 3] [--random SECONDS] [--first-seed 1] [--carrier twilio]
                       [--minutes 8]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import django
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.chaos.lanes import Job, Lanes
from tools.chaos.result import Result, not_begun, spans
from tools.local.signals import interrupt_on_stop_signals

if TYPE_CHECKING:
    from tools.chaos.faults.table import Row

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
# Without a terminal there is no progress bar: a line after so many runs.
REPORT_EVERY = 25
# The APIs that the sandbox carrier speaks: Exotel's, which our driver of that name uses, and Twilio's.
CARRIERS = ("sandbox", "twilio")
# Without a terminal, wide enough for the table.
console = Console(width=None if sys.stdout.isatty() else 140)


def main() -> int:
    options = _parse()
    interrupt_on_stop_signals()
    rows = _rows()
    jobs = _jobs(options, rows)
    results: list[Result] = []
    lanes = Lanes(options.lanes, options.carrier, options.keep_logs, console, options.minutes)
    try:
        _work(lanes, jobs, results)
    except KeyboardInterrupt:
        console.print("[yellow]stopped before its end")
        return 130
    finally:
        lanes.close()
        _print(results, rows)
        if left := not_begun(_seeded(jobs), [(result.fault, result.seed) for result in results]):
            console.print(f"not begun: {left}", highlight=False)
    is_short = len(results) < len(jobs) and not options.minutes
    return 1 if is_short or any(result.violations for result in results) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Break a running Trunkline, and judge what it did.")
    parser.add_argument("--rows", help="only these faults, such as 1a,4b, or 4b@twilio over another API")
    parser.add_argument("--seeds", type=int, default=20, help="runs of each fault that is a race (%(default)s)")
    parser.add_argument("--few", type=int, default=2, help="runs of each fault that is no race (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of the seeds (%(default)s)")
    parser.add_argument("--lanes", type=int, default=3, help="systems at work side by side (%(default)s)")
    parser.add_argument("--carrier", choices=CARRIERS, default=CARRIERS[0], help="the API to dial over (%(default)s)")
    parser.add_argument("--minutes", type=float, default=0, help="begin no run after so many minutes")
    parser.add_argument("--random", type=float, default=0, metavar="SECONDS", help="random faults for so long, too")
    parser.add_argument("--only-random", action="store_true", help="no rows")
    parser.add_argument("--keep-logs", type=Path, help="a folder for the lanes' own output")
    return parser.parse_args()


def _rows() -> "dict[str, Row]":
    """Return the faults by number. They import models, so Django is set up, but nothing here queries a database."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATA_DIR"] = folder
        django.setup()
    from tools.chaos.faults import ROWS

    return {row.number: row for row in ROWS}


def _jobs(options: argparse.Namespace, rows: "Mapping[str, Row]") -> list[Job]:
    """Return the jobs by seed, the longest one first."""
    chosen = options.rows.split(",") if options.rows else list(rows)
    known = {row for number in rows for row in (number, *(f"{number}@{carrier}" for carrier in CARRIERS))}
    if unknown := [row for row in chosen if row not in known]:
        raise SystemExit(
            f"--rows {','.join(unknown)}: there are {', '.join(rows)}, each also with @{' or @'.join(CARRIERS)}"
        )
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    few = seeds[: options.few]
    jobs: list[Job] = []
    if options.random:
        jobs.append(("random", options.first_seed, options.random))
    if not options.only_random:
        races = {row for row in chosen if rows[row.partition("@")[0]].is_race}
        jobs += [(row, seed, 0.0) for seed in seeds for row in chosen if row in races or seed in few]
    return jobs


def _seeded(jobs: Sequence[Job]) -> list[tuple[str, int]]:
    return [(fault, seed) for fault, seed, _ in jobs]


def _work(lanes: Lanes, jobs: Sequence[Job], results: list[Result]) -> None:
    """Do all jobs, with the progress on the terminal; adds each result as it comes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("breaking things", total=len(jobs))

        def take(result: Result) -> None:
            results.append(result)
            for violation in result.violations:
                console.print(f"[red]{result.fault} seed {result.seed}: {violation}", highlight=False)
            progress.update(bar, advance=1)
            if not console.is_terminal and len(results) % REPORT_EVERY == 0:
                console.print(f"{len(results)} runs")

        lanes.work(jobs, take)


def _print(results: Sequence[Result], rows: "Mapping[str, Row]") -> None:
    headings = ("", "fault", "seeds", "rings", "double", "lost", "over cap", "longest stall", "recovery", "violations")
    table = Table(title="Trunkline under faults", caption="Stall and recovery: the longest of all runs, in seconds.")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    titles = {number: row.title for number, row in rows.items()} | {"random": "one fault after another, at random"}
    for number, title in titles.items():
        for row in (number, *(f"{number}@{carrier}" for carrier in CARRIERS)):
            if of_row := [result for result in results if result.fault == row]:
                table.add_row(row, title, *_cells(of_row))
    console.print(table)


def _cells(results: Sequence[Result]) -> tuple[str, ...]:
    """Return a row of the table after its title, from all results of one fault."""
    recovery = max((result.recovery for result in results if result.recovery is not None), default=None)
    violations = sum(len(result.violations) for result in results)
    return (
        spans(result.seed for result in results),
        f"{sum(result.rings for result in results):,}",
        str(sum(result.double_rings for result in results)),
        str(sum(result.lost for result in results)),
        str(max(result.cap_excess for result in results)),
        f"{max(result.stall for result in results):.1f}",
        "" if recovery is None else f"{recovery:.1f}",
        f"[red]{violations}" if violations else "[green]0",
    )


if __name__ == "__main__":
    sys.exit(main())
