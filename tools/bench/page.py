"""docs/operator/performance: results.json, and the table within the page's prose."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tools.bench import figures
from tools.bench.figures import HEADINGS, Row, cells

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "operator" / "performance"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
GB = 1024**3


def publish(rows: Sequence[Row], charts: Sequence[Path]) -> None:
    """Write results.json, and the page with the same figures."""
    figures.write(rows, FOLDER / "results.json")
    page = FOLDER / "README.md"
    page.write_text(
        with_figures(page.read_text(), f"{machine()} {figures.weights(rows)}\n\n{markdown(rows)}\n\n{_images(charts)}")
    )


def with_figures(page: str, text: str) -> str:
    """Return the page with this text between its marks. Raises ValueError if it has no marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def markdown(rows: Sequence[Row]) -> str:
    lines = [_line(HEADINGS), _line(["---"] * len(HEADINGS))]
    lines += [_line([*cells(row)[:-1], f"`{row.command}`"]) for row in rows]
    return "\n".join([*lines, "", _count(rows)])


def _count(rows: Sequence[Row]) -> str:
    """Return how many targets are met, and of how many nobody can tell."""
    targets = [row for row in rows if row.target]
    told = f"{sum(row.met is True for row in targets)} of {len(targets)} targets met."
    if wide := sum(row.met is None and row.value is not None for row in targets):
        told += f" The spread of {wide} is too wide to tell."
    if missing := sum(row.value is None for row in rows):
        told += f" Not measured: {missing}."
    return told


def machine() -> str:
    """Return the sentence that says on what machine it was measured, and when."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / GB
    python = platform.python_version()
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    return (
        f"Measured {day} on {platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GB, Python {python}."
    )


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _images(charts: Sequence[Path]) -> str:
    return "\n\n".join(f"![{chart.stem.replace('-', ' ')}]({chart.name})" for chart in charts)
