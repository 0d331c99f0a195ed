"""The charts of docs/operator/performance, as PNG files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; there may be no screen

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tools.bench import attempts
from tools.bench.figures import Row
from tools.bench.run import Series

DPI = 90  # keeps each file far below 100 kB
MET, NOT_MET, PLAIN = "#3a7d44", "#b23a48", "#4c6a92"


def draw(rows: Sequence[Row], series: Mapping[str, Series], folder: Path) -> list[Path]:
    """Draw every chart that there is data for; returns the files."""
    judged = [row for row in rows if row.met is not None]
    rates = [row for row in rows if row.command.endswith(f" {attempts.NAME}") and row.limit]
    in_use = _named(series, "channels in use")
    waits = _named(series, "free channel") | _named(series, "request to")
    charts: dict[str, tuple[bool, float, Callable[[Axes], None]]] = {
        "targets": (bool(judged), 0.34 * len(judged) + 1, lambda axes: _targets(axes, judged)),
        "attempts-a-second": (bool(rates), 3, lambda axes: _rates(axes, rates)),
        "channels-in-use": (bool(in_use), 4, lambda axes: _in_use(axes, in_use)),
        "waits": (bool(waits), 4, lambda axes: _waits(axes, waits)),
    }
    return [
        _drawn(folder / f"{name}.png", inches, chart) for name, (has_data, inches, chart) in charts.items() if has_data
    ]


def _drawn(path: Path, inches: float, chart: Callable[[Axes], None]) -> Path:
    figure, axes = plt.subplots(figsize=(9, inches))
    chart(axes)
    figure.savefig(path, dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    return path


def headroom(row: Row) -> float:
    """Return how far a row is on the good side of its target: 1 just meets it, 2 is twice as good."""
    assert row.target is not None
    assert row.value is not None
    kind, bound = row.target.rsplit(" ", 1)
    reached = row.value if row.ratio is None else row.ratio
    return reached / float(bound) if kind == "at least" else float(bound) / max(reached, 1e-9)


def _targets(axes: Axes, rows: Sequence[Row]) -> None:
    rows = list(reversed(rows))
    shares = [min(max(headroom(row), 0.02), 50) for row in rows]
    # By position, as two figures may begin alike.
    places = range(len(rows))
    axes.barh(places, shares, color=[MET if row.met else NOT_MET for row in rows])
    axes.set_yticks(places, [_short(row) for row in rows])
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("÷ target: to the right of 1 is better than it must be")


def _rates(axes: Axes, rows: Sequence[Row]) -> None:
    bars: dict[str, float] = {}
    for row in rows:
        what, _, beside = row.figure.partition(": beside ")
        bars["Trunkline, " + what.split(", ")[1]] = row.value or 0
        bars[beside] = row.limit or 0
    ordered = sorted(bars.items(), key=lambda bar: bar[1])
    drawn = axes.barh([name for name, _ in ordered], [rate for _, rate in ordered], color=PLAIN)
    axes.bar_label(drawn, fmt="{:,.0f}", padding=3)
    axes.set_xlabel("a second, on this machine")


def _in_use(axes: Axes, series: Mapping[str, Series]) -> None:
    for name, points in series.items():
        axes.step(
            [at for at, _ in points], [share for _, share in points], where="post", label=name.split(", ")[1], lw=0.8
        )
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xlabel("seconds from the first ring")
    axes.set_ylabel("calls up ÷ cap, by the carrier's ring log")
    axes.set_ylim(0, 1.05)
    axes.legend(loc="lower center")


def _waits(axes: Axes, series: Mapping[str, Series]) -> None:
    for name, points in series.items():
        axes.plot([wait for wait, _ in points], [share for _, share in points], label=name, lw=1.2)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds")
    axes.set_ylabel("share that waited no longer")
    axes.legend(loc="lower right", fontsize=8)


def _named(series: Mapping[str, Series], beginning: str) -> dict[str, Series]:
    return {name: points for name, points in series.items() if name.startswith(beginning)}


def _short(row: Row, most: int = 110) -> str:
    return row.figure if len(row.figure) <= most else row.figure[: most - 1] + "…"
