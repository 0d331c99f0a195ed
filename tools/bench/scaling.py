"""The arithmetic of docs/operator/scaling.md, from the figures of results.json.

`make bench` writes it with its own page; `python -m tools.bench.scaling` writes it again after a change here.
"""
# ruff: noqa: RUF001 -- formulas have a multiplication sign

from collections.abc import Sequence
from math import ceil

from tools.bench import figures, page
from tools.bench.figures import Row, number

PAGE = page.FOLDER.parent / "scaling.md"

# The example. Assumed, not measured: every result is a product of these, so other assumptions scale it.
CALLS_A_DAY = 100_000_000
OPEN_SECONDS = 10 * 3600  # the calling hours of a day
ATTEMPTS_PER_CALL = 1.5
PEAK = 1.5  # the busiest minute's rate over the mean
HOLD_SECONDS = 45  # how long an attempt keeps its channel: 20 s until answered or given up; half talk for 50 s
USE = 0.6  # the share of a core that is planned for
CORES = 16  # of a machine for workers and web
DATABASE_CORES = 32
WAL_LIMIT = 200e6  # bytes a second that the primary's disk takes

# Of one attempt over HTTP to the sandbox, measured by hand on the machine of results.json: no rows of the bench.
STATEMENTS = 2.9
REDIS_COMMANDS = 3.6
MESSAGES = 0.11
WAL_BYTES = 8_900  # pg_wal_lsn_diff before and after a campaign
DISK_BYTES = 2_540  # all tables and indexes with the call's own row, after VACUUM FULL
SWEEP_SECONDS = 13e-6  # to compare the leases of one attempt in flight, with 10,000 of them in flight
SWEEP_EVERY = 5.0

OVER_HTTP = "HTTP to the sandbox and back"
PARTS = {
    "dial": "dialer",
    "control": "control workers",
    "events": "events",
    "web": "web",
    "PostgreSQL": "PostgreSQL",
    "Redis": "Redis",
}
WORKERS = ("dial", "control", "events", "web")


def write() -> None:
    """Put the arithmetic into the page, from the results.json beside it."""
    PAGE.write_text(page.with_figures(PAGE.read_text(), markdown(figures.read(page.FOLDER / "results.json"))))


def markdown(rows: Sequence[Row]) -> str:
    """Return the tables of the page."""
    cpu = _cpu(rows)
    mean = CALLS_A_DAY / OPEN_SECONDS * ATTEMPTS_PER_CALL
    peak = mean * PEAK
    tables = [
        _table(["one attempt over HTTP takes", "value"], _costs(cpu)),
        _table(["the load", "arithmetic", "result"], _load(mean, peak)),
        _table(["needed at the peak", "arithmetic", "result"], _needed(peak, cpu)),
        _table(["what one PostgreSQL and one Redis carry", "arithmetic", "attempts/s"], _bounds(peak, cpu)),
    ]
    return "\n\n".join([*tables, _one_machine(_value(rows, f"completed attempts, {OVER_HTTP}"))])


def _cpu(rows: Sequence[Row]) -> dict[str, float]:
    """Return milliseconds of an attempt by part. Figures from before the events process have none of it."""
    figures_of = {part: f"CPU of an attempt, {OVER_HTTP}: {label}" for part, label in PARTS.items()}
    if not any(line.figure == figures_of["events"] for line in rows):
        del figures_of["events"]
    return {part: _value(rows, figure) for part, figure in figures_of.items()}


def _costs(cpu: dict[str, float]) -> list[list[str]]:
    return [
        *([f"CPU: {part}", f"{number(milliseconds)} ms"] for part, milliseconds in cpu.items()),
        ["database statements", f"{STATEMENTS}"],
        ["Redis commands, the broker's included", f"{REDIS_COMMANDS}"],
        ["Celery messages", f"{MESSAGES}"],
        ["write-ahead log", f"{WAL_BYTES:,} bytes"],
        ["disk", f"{DISK_BYTES:,} bytes"],
    ]


def _load(mean: float, peak: float) -> list[list[str]]:
    calls = CALLS_A_DAY / OPEN_SECONDS
    return [
        ["calls a second", f"{CALLS_A_DAY:,} ÷ {OPEN_SECONDS:,} s", f"{calls:,.0f}"],
        ["attempts a second, mean", f"× {ATTEMPTS_PER_CALL} attempts for each call", f"{mean:,.0f}"],
        ["attempts a second, peak", f"× {PEAK}", f"{peak:,.0f}"],
        ["channels, mean", f"{mean:,.0f} × {HOLD_SECONDS} s", f"{mean * HOLD_SECONDS:,.0f}"],
        ["channels, peak", f"{peak:,.0f} × {HOLD_SECONDS} s", f"{peak * HOLD_SECONDS:,.0f}"],
        ["callbacks of carriers a second, peak", f"{peak:,.0f} × 2", f"{peak * 2:,.0f}"],
    ]


def _needed(peak: float, cpu: dict[str, float]) -> list[list[str]]:
    cores = {part: peak * milliseconds / 1000 for part, milliseconds in cpu.items()}
    workers = [part for part in WORKERS if part in cores]
    attempts = CALLS_A_DAY * ATTEMPTS_PER_CALL
    connections = (8 * (cores["dial"] + cores["web"]) + cores["control"]) / USE
    cores_of = [
        [f"cores for {part}", f"{peak:,.0f} × {number(cpu[part])} ms", f"{needed:.1f}"]
        for part, needed in cores.items()
    ]
    machines = f"({' + '.join(workers)}) ÷ {CORES * USE:g}, rounded up"
    needed_machines = ceil(sum(cores[part] for part in workers) / CORES / USE)
    return [
        *cores_of,
        [f"machines of {CORES} cores for workers and web, at {USE:.0%}", machines, str(needed_machines)],
        ["statements a second", f"{peak:,.0f} × {STATEMENTS}", f"{peak * STATEMENTS:,.0f}"],
        ["Redis commands a second", f"{peak:,.0f} × {REDIS_COMMANDS}", f"{peak * REDIS_COMMANDS:,.0f}"],
        ["write-ahead log", f"{peak:,.0f} × {WAL_BYTES:,} bytes", f"{peak * WAL_BYTES / 1e6:,.0f} MB/s"],
        ["write-ahead log of a day", f"{attempts:,.0f} × {WAL_BYTES:,} bytes", f"{attempts * WAL_BYTES / 1e9:,.0f} GB"],
        ["disk of a day", f"{attempts:,.0f} × {DISK_BYTES:,} bytes", f"{attempts * DISK_BYTES / 1e9:,.0f} GB"],
        ["database connections", f"(8 × (dial + web) + control) ÷ {USE}", f"{connections:,.0f}"],
    ]


def _bounds(peak: float, cpu: dict[str, float]) -> list[list[str]]:
    database_cores, in_flight = DATABASE_CORES * USE, SWEEP_EVERY / 2 / SWEEP_SECONDS
    bounds = [
        (
            f"PostgreSQL: {DATABASE_CORES} cores at {USE:.0%}",
            f"{database_cores:g} ÷ {number(cpu['PostgreSQL'])} ms",
            database_cores * 1000 / cpu["PostgreSQL"],
        ),
        (
            f"PostgreSQL: {WAL_LIMIT / 1e6:.0f} MB/s of write-ahead log",
            f"÷ {WAL_BYTES:,} bytes",
            WAL_LIMIT / WAL_BYTES,
        ),
        (f"Redis: {USE:.0%} of its one core", f"{USE:g} ÷ {number(cpu['Redis'])} ms", USE * 1000 / cpu["Redis"]),
        (
            f"recovery: all leases compared within half of its {SWEEP_EVERY:g} s",
            f"{SWEEP_EVERY / 2:g} s ÷ {SWEEP_SECONDS * 1e6:.0f} µs ÷ {HOLD_SECONDS} s",
            in_flight / HOLD_SECONDS,
        ),
    ]
    shards = ceil(peak / min(bound for _, _, bound in bounds))
    last = ["**shards**", f"{peak:,.0f} ÷ the smallest, rounded up", f"**{shards}**"]
    return [*([what, how, f"{bound:,.0f}"] for what, how, bound in bounds), last]


def _one_machine(rate: float) -> str:
    calls = rate * OPEN_SECONDS / ATTEMPTS_PER_CALL / 1e6
    arithmetic = f"{rate:,.0f} attempts/s over HTTP × {OPEN_SECONDS:,} s ÷ {ATTEMPTS_PER_CALL}"
    return f"One machine, for comparison: {arithmetic} = **{calls:.1f} million calls** a day."


def _value(rows: Sequence[Row], figure: str) -> float:
    """Return the value of the first row whose figure begins so. Raises LookupError."""
    for row in rows:
        if row.figure.startswith(figure) and row.value is not None:
            return row.value
    raise LookupError(f"results.json has no figure that begins with {figure!r}")


def _table(headings: list[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [headings, ["---"] * len(headings), *lines])


if __name__ == "__main__":
    write()
