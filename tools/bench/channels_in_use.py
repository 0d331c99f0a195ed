"""How full the channels are kept, and how soon a free one is used again, by the carrier's ring log."""

import os
import time

from tools.bench.arithmetic import Span, busy_time, freed_to_next, live, mean_live, most_live, percentile
from tools.bench.figures import Row, at_least, at_most, row
from tools.bench.run import Run, Series, cpu_seconds
from tools.bench.system import System, system

NAME = "channels"
# (cap, calls): two minutes each at ten calls a second for every sixty channels.
CAPS = ((60, 1_200), (1_000, 20_000))
PATIENCE_SECONDS = 900
# Calls of 2 to 10 seconds, one of them ringing, all equally likely. To the tenth of a second, as calls of whole seconds
# would go on ending together for as long as the campaign runs.
SCRIPT = {
    "seed": 1,
    "default": [{"outcome": "completed", "ring": 1, "talk": tenths / 10, "weight": 1} for tenths in range(10, 91)],
}
CHART_POINTS = 2_000


def measure(run: Run) -> list[Row]:
    """Measure campaigns over HTTP through the sandbox, one after the other, each in an account with `cap` channels.

    The mean is weighted by time and covers the time in which work was waiting. A wait is from the end of a call to the
    start of the one that took its channel.
    """
    rows: list[Row] = []
    with system(run, "channels") as whole:
        whole.stack.script(SCRIPT)
        for position, (full_cap, full_calls) in enumerate(CAPS):
            cap = full_cap if full_cap == CAPS[0][0] else run.count(full_cap, least=100)
            calls = run.count(full_calls, least=3 * cap)
            run.say(f"{calls:,} calls of 2 to 10 s over {cap:,} channels")
            caller_id = f"0801234567{position}"
            client = whole.account(f"bench-{cap}", channels=cap, caller_ids=[caller_id])
            campaign = whole.campaign(client, calls, first=position * 100_000, caller_id=caller_id)
            cores = _cores_in_use(whole, campaign)
            spans = whole.spans(caller_id=caller_id)
            on = f"cap {cap:,}, {calls:,} calls of 2 to 10 s over HTTP to the sandbox"
            rows += [*_rows(spans, cap, on), row(f"cores in use, {on}", cores, "cores", NAME, limit=os.cpu_count())]
            _add_series(run, spans, cap)
    return rows


def _cores_in_use(whole: System, campaign: str) -> float:
    """Run the campaign; returns the cores that all processes used, servers and sandbox included."""
    processes = [process for part in whole.parts().values() for process in part]
    used, began = cpu_seconds(processes), time.monotonic()
    whole.start(campaign)
    whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    return (cpu_seconds(processes) - used) / (time.monotonic() - began)


def _rows(spans: list[Span], cap: int, on: str) -> list[Row]:
    since, until = busy_time(spans, cap)
    mean = mean_live(spans, since, until)
    waits = [wait * 1000 for wait in freed_to_next(spans, since, until)]
    return [
        row(f"mean channels in use while work waits, {on}", mean, "channels", NAME, limit=cap, target=at_least(0.98)),
        row(f"most channels in use at once, {on}", most_live(spans), "channels", NAME, limit=cap, target=at_most(1)),
        row(f"free channel to next call placed, p50, {on}", percentile(waits, 0.5), "ms", NAME, target=at_most(50)),
        row(f"free channel to next call placed, p99, {on}", percentile(waits, 0.99), "ms", NAME, target=at_most(250)),
    ]


def _add_series(run: Run, spans: list[Span], cap: int) -> None:
    since, until = busy_time(spans, cap)
    first = min(start for start, _ in spans)
    changes = [(moment - first, up / cap) for moment, up in live(spans)]
    run.series[f"channels in use, cap {cap:,}"] = _thinned(changes)
    waits = sorted(freed_to_next(spans, since, until))
    shares = [(wait * 1000, rank / len(waits)) for rank, wait in enumerate(waits, start=1)]
    run.series[f"free channel to next call, cap {cap:,}"] = _thinned(shares)


def _thinned(points: Series) -> Series:
    return points[:: max(1, len(points) // CHART_POINTS)]
