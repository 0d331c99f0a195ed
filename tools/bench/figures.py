"""A figure beside its limit: the rows, their table in the terminal, and results.json."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.table import Table

from tools.bench.arithmetic import median

# A ratio of fewer pairs is luck, and so is one of pairs that differ by more.
FEWEST_PAIRS = 5
WIDEST_SPREAD = 0.25


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
    target, met: None if the figure has no target. met is also None if the spread is too wide to tell.
    pairs: how often value and limit were measured in turn, and ratio is then the median of their ratios; or how often
        value was measured, and it is then the median.
    spread: of those ratios or values, the largest less the smallest, as a share of the median.
    load: of the machine, a mean over the minute before the figure was measured.
    weights: how the processes of the whole systems shared cores that are short; None if no such system was measured.
    """

    figure: str
    value: float | None
    limit: float | None
    ratio: float | None
    target: str | None
    met: bool | None
    unit: str
    command: str
    pairs: int | None = None
    spread: float | None = None
    load: float | None = None
    weights: str | None = None


def paired(
    figure: str, pairs: Sequence[tuple[float, float]], unit: str, name: str, *, target: Target | None = None
) -> Row:
    """Return the row of a figure that was measured in turn with its limit, A B A B, so that luck falls on both.

    Args:
        pairs: (value, limit), at least FEWEST_PAIRS of them.
    """
    if len(pairs) < FEWEST_PAIRS:
        raise ValueError(f"{figure}: {len(pairs)} pairs, and a ratio needs {FEWEST_PAIRS}")
    ratios = [value / limit for value, limit in pairs]
    ratio = median(ratios)
    spread = (max(ratios) - min(ratios)) / ratio
    return Row(
        figure=figure,
        value=median([value for value, _ in pairs]),
        limit=median([limit for _, limit in pairs]),
        ratio=ratio,
        target=str(target) if target else None,
        met=target.is_met_by(ratio) if target and spread <= WIDEST_SPREAD else None,
        unit=unit,
        command=f"python -m tools.bench --only {name}",
        pairs=len(pairs),
        spread=spread,
    )


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


def repeated(figure: str, values: Sequence[float], unit: str, name: str, *, target: Target | None = None) -> Row:
    """Return the row of a figure that was measured several times: the median and the spread of its values."""
    middle = median(values)
    spread = (max(values) - min(values)) / middle if middle else 0.0
    made = row(figure, middle, unit, name, target=target)
    return replace(made, pairs=len(values), spread=spread, met=made.met if spread <= WIDEST_SPREAD else None)


def not_measured(name: str, why: str) -> Row:
    """Return the row of a figure that could not be measured."""
    return row(f"{name}: {why}", None, "", name)


def measured_on(rows: Iterable[Row], load: float, systems: Iterable[str]) -> list[Row]:
    """Return the rows of a figure with what they were measured on.

    Args:
        load: that the machine had before.
        systems: how the processes of each whole system shared cores.
    """
    weights = ", ".join(sorted(set(systems))) or None
    return [replace(one, load=load, weights=weights) for one in rows]


def number(value: float | None) -> str:
    """Return the value for people, with its significant digits."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


HEADINGS = ("figure", "value", "beside", "ratio", "spread", "load", "must be", "met", "command")


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as a line of a table."""
    return (
        row.figure,
        f"{number(row.value)} {row.unit}" if row.value is not None else "not measured",
        f"{number(row.limit)} {row.unit}" if row.limit is not None else "",
        number(row.ratio),
        "" if row.spread is None else f"{row.spread:.0%} of {row.pairs}",
        number(row.load),
        row.target or "",
        _verdict(row),
        row.command,
    )


def _verdict(row: Row) -> str:
    if row.spread is not None and row.spread > WIDEST_SPREAD:
        return f"the spread is over {WIDEST_SPREAD:.0%}"
    return {True: "yes", False: "no", None: ""}[row.met]


def weights(rows: Iterable[Row]) -> str:
    """Return the sentence that says how the processes of whole systems shared cores; "" where there was none."""
    told = sorted({line.weights for line in rows if line.weights})
    return f"Processes of whole systems: {', '.join(told)}." if told else ""


def table(rows: Sequence[Row]) -> Table:
    drawn = Table(
        title="Trunkline, measured on this machine",
        caption=f"Ratios travel between machines; absolute figures do not. {weights(rows)}",
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
