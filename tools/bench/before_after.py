"""CPU of an attempt by process, before the latest round of work and now: the table in where-the-time-goes.

`make bench` writes it with its own page; `python -m tools.bench.before_after` writes it again after a change here.
"""

from collections.abc import Sequence

from tools.bench import figures, page
from tools.bench.figures import Row, number

PAGE = page.FOLDER.parents[1] / "developer" / "where-the-time-goes.md"
CARRIERS = ("simulated carrier", "HTTP to the sandbox and back")
# Milliseconds, of results.json at this commit: carriers' events went through web, and settling was per campaign.
COMMIT = "a0c8dd0"
BEFORE: dict[str, tuple[float, float]] = {
    "PostgreSQL": (0.156, 0.778),
    "Redis": (0.0153, 0.105),
    "control workers": (0.118, 0.709),
    "dialer": (0.102, 0.381),
    "web": (0.0, 1.46),
    "events": (0.0, 0.0),
    "Flower": (0.0133, 0.115),
}


def write() -> None:
    """Put the table into the page, from the results.json beside the figures."""
    PAGE.write_text(page.with_figures(PAGE.read_text(), markdown(figures.read(page.FOLDER / "results.json"))))


def markdown(rows: Sequence[Row]) -> str:
    """Return the table. Raises LookupError where the attempts were not measured."""
    cpu = {row.figure: row.value for row in rows if row.value is not None}
    headings = [f"{carrier}, {when}" for carrier in CARRIERS for when in ("before", "now")]
    lines = [["CPU of an attempt, ms", *headings], ["---"] * 5]
    totals = [0.0] * 4
    for part, before in BEFORE.items():
        now = [_now(cpu, carrier, part) for carrier in CARRIERS]
        values = [before[0], now[0], before[1], now[1]]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
        lines.append([part, *map(_shown, values)])
    lines.append(["**all but the carrier**", *(f"**{_shown(total)}**" for total in totals)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _now(cpu: dict[str, float], carrier: str, part: str) -> float:
    """Return 0 for a part that was not there, as the events process in figures from before it."""
    figure = f"CPU of an attempt, {carrier}: "
    if f"{figure}PostgreSQL" not in cpu:
        raise LookupError(f"results.json has no figure that begins with {figure!r}")
    return cpu.get(f"{figure}{part}", 0.0)


def _shown(milliseconds: float) -> str:
    return number(milliseconds) if milliseconds else ""


if __name__ == "__main__":
    write()
