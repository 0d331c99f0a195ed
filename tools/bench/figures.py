"""A figure beside its limit: the rows, their table in the terminal, and results.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """What a figure must reach: its ratio to the limit, or the figure itself if it has no limit."""

    bound: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"

    def is_met_by(self, number: float) -> bool:
        return number >= self.bound if self.at_least else number <= self.bound


def at_least(bound: float) -> Target:
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    return Target(bound, at_least=False)


@dataclass(frozen=True)
class Row:
    """One figure.

    figure: what is measured, and on what; if value is None, also why this machine cannot measure it.
    value, limit: in `unit`. limit and ratio are None if the figure stands alone.
    ratio: value ÷ limit.
    target, met: None if the figure has no target.
    """

    figure: str
    value: float | None
    limit: float | None
    ratio: float | None
    target: str | None
    met: bool | None
    unit: str
    command: str


def row(
    figure: str, value: float | None, unit: str, name: str, *, limit: float | None = None, target: Target | None = None
) -> Row:
    """Return a row; `name` is the one that `--only` takes."""
    ratio = None if value is None or limit is None else value / limit
    judged = value if limit is None else ratio
    return Row(
        figure=figure,
        value=value,
        limit=limit,
        ratio=ratio,
        target=str(target) if target else None,
        met=target.is_met_by(judged) if target and judged is not None else None,
        unit=unit,
        command=f"python -m tools.bench --only {name}",
    )


def number(value: float | None) -> str:
    """Return the value for people, with its significant digits."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


HEADINGS = ("figure", "value", "beside", "ratio", "must be", "met", "command")


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as a line of a table."""
    return (
        row.figure,
        f"{number(row.value)} {row.unit}" if row.value is not None else "not measured",
        f"{number(row.limit)} {row.unit}" if row.limit is not None else "",
        number(row.ratio),
        row.target or "",
        {True: "yes", False: "no", None: ""}[row.met],
        row.command,
    )


def table(rows: Sequence[Row]) -> Table:
    drawn = Table(
        title="Trunkline, measured on this machine", caption="Ratios travel between machines; absolute figures do not."
    )
    for heading in HEADINGS[:-1]:
        drawn.add_column(heading, justify="left" if heading == "figure" else "right")
    for line in rows:
        style = {True: "green", False: "red", None: ""}[line.met]
        drawn.add_row(*cells(line)[:-1], style=style)
    return drawn


def write(rows: Sequence[Row], path: Path) -> None:
    path.write_text(json.dumps([asdict(line) for line in rows], indent=2, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Row]:
    return [Row(**fields) for fields in json.loads(path.read_text())]
