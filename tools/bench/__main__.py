"""`make bench`: measure every figure beside its limit, print the table, write docs/operator/performance.

    python -m tools.bench [--only NAME,NAME] [--scale 0.01] [--force] [--alike]

The processes of whole systems share cores that are short as the units of systemd say, where this user may make control
groups; with --alike, or where not, all get the same. Each row says which.

With --only, --alike or another scale it is a trial: nothing is written. Nor is anything from a busy machine, on which a
full run does not begin without --force. A figure that fails, takes longer than its budget, or before, after or beside
which the machine is busy, stands in the table as not measured, and the others are written. Everything runs on loopback,
in a temporary folder and on free ports, and is stopped at the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import redis
import requests
from rich.console import Console

from tools.bench import before_after, figures, page, quiet, scaling, weights
from tools.bench.budget import Budget, OutOfTime
from tools.bench.catalogue import FIGURES
from tools.bench.figures import Row
from tools.bench.run import Run
from tools.local.embedded_server import EmbeddedError
from tools.local.processes import ProcessEnded
from tools.local.signals import interrupt_on_stop_signals
from tools.stack import StackFailed

Figure = Callable[[Run], list[Row]]

console = Console(width=None if sys.stdout.isatty() else 180)

# What may go wrong in one figure without costing the others.
FAILURES = (
    OutOfTime,
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
    is_full = not options.only and options.scale == 1 and not options.alike
    is_written = is_full and not options.force
    if is_written and (busy := quiet.why_busy()):
        console.print(f"[red]not measured: {busy}. Stop them, or see figures with --force that are not written.")
        return 1
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        how = weights.chosen(alike=options.alike)
        run, found = Run(options.scale, Path(folder), _say, is_alone=bool(options.only), weights=how), _Found()
        try:
            _measure(run, {name: FIGURES[name] for name in chosen}, found, needs_quiet=is_written)
        except KeyboardInterrupt:
            _show(found)
            console.print("[yellow]stopped before its end")
            return 130
    _show(found)
    if is_written:
        _publish(run, found)
    elif is_full:
        console.print("[red]nothing was written: the machine was busy, or might have been")
    return 1 if found.failed or (is_full and not is_written) else 0


def _publish(run: Run, found: "_Found") -> None:
    from tools.bench import charts  # takes half a second, which a trial and the tests need not wait for

    rows = found.rows + [figures.not_measured(name, why) for name, why in found.failed.items()]
    page.publish(rows, charts.draw(rows, run.series, page.FOLDER))
    console.print("written: docs/operator/performance")
    for module in (scaling, before_after):
        try:
            module.write()
        except LookupError as error:
            console.print(f"not written: {module.PAGE.name}: {error}", style="red", markup=False)
        else:
            console.print(f"written: {module.PAGE.name}")


def _say(text: str) -> None:
    console.log(text, highlight=False)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description="Measure Trunkline beside its limits.")
    parser.add_argument("--only", metavar="NAME,NAME", help=f"some of: {', '.join(FIGURES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data, 0.01 for a quick try (default: 1)")
    parser.add_argument("--force", action="store_true", help="measure on a busy machine too, and write nothing")
    parser.add_argument("--alike", action="store_true", help="give all processes the same, and write nothing")
    options = parser.parse_args()
    if options.only and (unknown := [name for name in options.only.split(",") if name not in FIGURES]):
        parser.error(f"unknown: {', '.join(unknown)}; there is: {', '.join(FIGURES)}")
    if not 0 < options.scale <= 1:
        parser.error("--scale must be above 0 and at most 1")
    return options


@dataclass
class _Found:
    """The rows; which figures were not measured, and why; beside which of them the machine was busy, and why."""

    rows: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)


def _measure(run: Run, chosen: dict[str, Figure], found: _Found, *, needs_quiet: bool) -> None:
    """Measure one figure after the other. The look at the machine after a figure is that before the next one."""
    look = quiet.why_busy_for_long if needs_quiet else quiet.why_busy
    limits = Budget() if run.scale == 1 and not run.is_alone else None
    busy_before = look()
    for name, measure in chosen.items():
        console.rule(name)
        with quiet.beside(run.folder) as others:
            rows = [] if busy_before and needs_quiet else _rows(run, name, measure, found, limits)
        busy_after = look()
        if busy := busy_before or others.why_busy() or busy_after:
            found.busy[name] = busy
        if busy and needs_quiet:
            found.failed.setdefault(name, busy)
        else:
            found.rows += rows
        busy_before = busy_after


def _rows(run: Run, name: str, measure: Figure, found: _Found, limits: Budget | None) -> list[Row]:
    """Return the rows of one figure; none, with a note in `found`, if it fails."""
    load, began, run = os.getloadavg()[0], time.monotonic(), replace(run, systems=[])
    try:
        with limits.of(name) if limits else nullcontext():
            return figures.measured_on(measure(run), load, run.systems)
    except FAILURES as error:
        console.log(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        found.failed[name] = (str(error).splitlines() or [type(error).__name__])[0]
        return []
    finally:
        _say(f"{name}: {time.monotonic() - began:.0f} s")


def _show(found: _Found) -> None:
    console.print(figures.table(found.rows))
    for name, why in found.failed.items():
        console.print(f"not measured: {name}: {why}", style="red", markup=False, highlight=False)
    for name, busy in found.busy.items():
        console.print(f"beside {name}, {busy}", style="yellow", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
