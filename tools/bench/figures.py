"""A figure beside what it is compared with: the rows, their table in the terminal, and results.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """What a figure must reach: its ratio to the limit, or the figure itself where it has none."""

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
    """figure says what is measured and on what. value and limit are in `unit`, ratio is value ÷ limit.

    limit and ratio are None where the figure stands alone; target and met where nothing is asked of it; value where
    this machine can't tell, and then `figure` says why.
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
    """A row; name is the module's, which `--only` takes."""
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
    """For people: as many digits as mean something."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


HEADINGS = ("figure", "value", "beside", "ratio", "must be", "met", "command")


def cells(each: Row) -> tuple[str, ...]:
    """The row as a line of a table."""
    return (
        each.figure,
        f"{number(each.value)} {each.unit}" if each.value is not None else "not measured",
        f"{number(each.limit)} {each.unit}" if each.limit is not None else "",
        number(each.ratio),
        each.target or "",
        {True: "yes", False: "no", None: ""}[each.met],
        each.command,
    )


def table(rows: Sequence[Row]) -> Table:
    drawn = Table(
        title="Trunkline, measured on this machine", caption="Ratios travel between machines; absolute figures do not."
    )
    for heading in HEADINGS[:-1]:
        drawn.add_column(heading, justify="left" if heading == "figure" else "right")
    for each in rows:
        style = {True: "green", False: "red", None: ""}[each.met]
        drawn.add_row(*cells(each)[:-1], style=style)
    return drawn


def write(rows: Sequence[Row], path: Path) -> None:
    path.write_text(json.dumps([asdict(each) for each in rows], indent=2, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Row]:
    return [Row(**each) for each in json.loads(path.read_text())]
