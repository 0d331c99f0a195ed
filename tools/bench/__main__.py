"""`make bench`: measure every figure beside its limit, print the table, write docs/operator/performance.

    python -m tools.bench [--only NAME,NAME] [--scale 0.01]

With --only or another scale it is a trial: nothing is written. Everything runs on loopback, in a temporary folder and
on free ports, and is stopped at the end.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import redis
import requests
from rich.console import Console

from tools.bench import charts, figures, page, scaling
from tools.bench.catalogue import FIGURES
from tools.bench.figures import Row
from tools.bench.run import Run
from tools.local.embedded_server import EmbeddedError
from tools.local.processes import ProcessEnded
from tools.local.signals import interrupt_on_stop_signals
from tools.stack import StackFailed

console = Console(width=None if sys.stdout.isatty() else 180)

# What may go wrong in one figure without costing the others.
FAILURES = (
    StackFailed,
    EmbeddedError,
    ProcessEnded,
    requests.RequestException,
    psycopg.Error,
    redis.RedisError,
    subprocess.SubprocessError,
    ArithmeticError,
    LookupError,
    OSError,  # TimeoutError among them
    ValueError,
)


def main() -> int:
    options = _parse()
    interrupt_on_stop_signals()
    chosen = options.only.split(",") if options.only else list(FIGURES)
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        run = Run(options.scale, Path(folder), say=lambda text: console.log(text, highlight=False))
        try:
            rows, failed = _measure(run, {name: FIGURES[name] for name in chosen})
        except KeyboardInterrupt:
            console.print("[yellow]stopped before its end")
            return 130
    console.print(figures.table(rows))
    for name in failed:
        console.print(f"[red]not measured: {name}")
    if not options.only and options.scale == 1 and not failed:
        page.publish(rows, charts.draw(rows, run.series, page.FOLDER))
        scaling.write()
        console.print("written: docs/operator/performance, docs/operator/scaling.md")
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description="Measure Trunkline beside its limits.")
    parser.add_argument("--only", metavar="NAME,NAME", help=f"some of: {', '.join(FIGURES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data, 0.01 for a quick try (default: 1)")
    options = parser.parse_args()
    if options.only and (unknown := [name for name in options.only.split(",") if name not in FIGURES]):
        parser.error(f"unknown: {', '.join(unknown)}; there is: {', '.join(FIGURES)}")
    if not 0 < options.scale <= 1:
        parser.error("--scale must be above 0 and at most 1")
    return options


def _measure(run: Run, chosen: dict[str, Callable[[Run], list[Row]]]) -> tuple[list[Row], Sequence[str]]:
    """Return the rows, and the names of the figures that could not be measured."""
    rows: list[Row] = []
    failed = []
    for name, measure in chosen.items():
        console.rule(name)
        try:
            rows += measure(run)
        except FAILURES as error:
            console.log(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
            failed.append(name)
    return rows, failed


if __name__ == "__main__":
    sys.exit(main())
