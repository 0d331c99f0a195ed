"""`make bench`: measure every figure beside its limit, print the table, write docs/operator/performance.

    python -m tools.bench [--only NAME,NAME] [--scale 0.01] [--force]

With --only or another scale it is a trial: nothing is written. Nor is anything from a busy machine, on which a full run
does not begin without --force. Everything runs on loopback, in a temporary folder and
on free ports, and is stopped at the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis
import requests
from rich.console import Console

from tools.bench import charts, figures, page, quiet, scaling
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
    is_full = not options.only and options.scale == 1
    if is_full and not options.force and (busy := quiet.why_busy()):
        console.print(f"[red]not measured: {busy}. Stop them, or see figures with --force that are not written.")
        return 1
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        run, found = Run(options.scale, Path(folder), _say, is_alone=bool(options.only)), _Found()
        try:
            _measure(run, {name: FIGURES[name] for name in chosen}, found)
        except KeyboardInterrupt:
            _show(found)
            console.print("[yellow]stopped before its end")
            return 130
    _show(found)
    if is_full and (found.busy_before or options.force):
        console.print("[red]nothing was written: the machine was busy, or might have been")
        return 1
    if is_full and not found.failed:
        page.publish(found.rows, charts.draw(found.rows, run.series, page.FOLDER))
        scaling.write()
        console.print("written: docs/operator/performance, docs/operator/scaling.md")
    return 1 if found.failed else 0


def _say(text: str) -> None:
    console.log(text, highlight=False)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description="Measure Trunkline beside its limits.")
    parser.add_argument("--only", metavar="NAME,NAME", help=f"some of: {', '.join(FIGURES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data, 0.01 for a quick try (default: 1)")
    parser.add_argument("--force", action="store_true", help="measure on a busy machine too, and write nothing")
    options = parser.parse_args()
    if options.only and (unknown := [name for name in options.only.split(",") if name not in FIGURES]):
        parser.error(f"unknown: {', '.join(unknown)}; there is: {', '.join(FIGURES)}")
    if not 0 < options.scale <= 1:
        parser.error("--scale must be above 0 and at most 1")
    return options


@dataclass
class _Found:
    """The rows, the names of the figures that could not be measured, and before which the machine was busy, and why."""

    rows: list[Row] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    busy_before: dict[str, str] = field(default_factory=dict)


def _measure(run: Run, chosen: dict[str, Callable[[Run], list[Row]]], found: _Found) -> None:
    for name, measure in chosen.items():
        console.rule(name)
        if busy := quiet.why_busy():
            found.busy_before[name] = busy
        load = os.getloadavg()[0]
        try:
            found.rows += figures.loaded(measure(run), load)
        except FAILURES as error:
            console.log(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
            found.failed.append(name)


def _show(found: _Found) -> None:
    console.print(figures.table(found.rows))
    for name in found.failed:
        console.print(f"[red]not measured: {name}")
    for name, busy in found.busy_before.items():
        console.print(f"[yellow]before {name}, {busy}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
