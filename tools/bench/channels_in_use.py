"""How full the channels are kept, and how soon a free one is used again, by the carrier's ring log."""

import os
import time
from dataclasses import dataclass
from typing import Any

from tools.bench.arithmetic import Span, busy_time, freed_to_next, live, mean_live, most_live, percentile
from tools.bench.attempts import CHANNELS, SHORT, completed_rate
from tools.bench.figures import Row, at_least, at_most, row
from tools.bench.run import Run, Series, cpu_seconds
from tools.bench.system import System, system

NAME = "channels"
SMALL_CAP, LARGE_CAP = 60, 1_000
# The first is dialed at the rate that its channels allow with calls of 2 to 10 s; the second at this share of what the
# machine can do at all with such calls, by the length of its calls: beyond that the figure would be one of the machine.
SMALL_SECONDS, SHARE = 6.0, 0.6
DIALING_SECONDS = 30
# The machine's own rate: of calls of this length over so many times the channels that it is the machine that limits
# them. So they allow 1.8 times what the short calls have shown.
MORE_CHANNELS = 3
RATE_SECONDS = 15
SHORT_CALLS = 4_000
PATIENCE_SECONDS = 900
CHART_POINTS = 2_000


@dataclass(frozen=True)
class _Load:
    """cap: channels. mean: seconds from a call's ring to its end. calls: of the campaign. on: in words."""

    cap: int
    mean: float
    calls: int
    on: str


def measure(run: Run) -> list[Row]:
    """Measure campaigns over HTTP through the sandbox, one after the other, each in an account with `cap` channels.

    The mean is weighted by time and covers the time in which work was waiting. A wait is from the end of a call to the
    start of the one that took its channel.
    """
    rows: list[Row] = []
    with system(run, "channels") as whole:
        for position, load in enumerate(_loads(run, whole)):
            run.say(f"{load.calls:,} calls of {load.mean:.1f} s over {load.cap:,} channels")
            whole.stack.script(_script(load.mean))
            caller_id = f"0801234567{position}"
            client = whole.account(f"bench-{load.cap}", channels=load.cap, caller_ids=[caller_id])
            campaign = whole.campaign(client, load.calls, first=(position + 1) * 100_000, caller_id=caller_id)
            used = _cores_in_use(whole, campaign)
            spans = whole.spans(caller_id=caller_id)
            rows += [*_rows(spans, load), *_cores(used, load)]
            _add_series(run, spans, load.cap)
    return rows


def _loads(run: Run, whole: System) -> list[_Load]:
    large = run.count(LARGE_CAP, least=100)
    own_rate = _own_rate(run, whole, large)
    mean = large / (own_rate * SHARE)
    return [
        _load(run, SMALL_CAP, SMALL_SECONDS, "calls of 2 to 10 s"),
        _load(run, large, mean, f"at {SHARE:.0%} of the machine's {own_rate:,.0f} calls/s"),
    ]


def _own_rate(run: Run, whole: System, cap: int) -> float:
    """Return the calls a second that the machine completes of those that the cap will be measured with.

    Their length depends on the rate, so it is that which short calls ask for: the rate hardly depends on it. That of a
    few thousand short calls alone is the rate of a burst: half of them need no freed channel.
    """
    whole.stack.script(SHORT)
    client = whole.account("short", channels=CHANNELS)
    short = completed_rate(whole, whole.campaign(client, run.count(SHORT_CALLS, least=500)))
    mean = cap / (short * SHARE)
    calls = max(MORE_CHANNELS * cap, run.count(round(short * RATE_SECONDS)))
    run.say(f"{calls:,} calls of {mean:.1f} s over {MORE_CHANNELS * cap:,} channels, to see what the machine can do")
    whole.stack.script(_script(mean))
    client = whole.account("rate", channels=MORE_CHANNELS * cap)
    return completed_rate(whole, whole.campaign(client, calls, first=500_000))


def _load(run: Run, cap: int, mean: float, how: str) -> _Load:
    calls = run.count(round(DIALING_SECONDS * cap / mean), least=3 * cap)
    return _Load(cap, mean, calls, f"cap {cap:,}, {calls:,} calls over HTTP to the sandbox, {how}")


def _script(mean: float) -> dict[str, Any]:
    """Return calls of a third of the mean to five thirds of it, all equally likely; a sixth of the mean is ringing.

    In 81 steps, as calls of a few lengths would go on ending together for as long as the campaign runs.
    """
    ring = mean / 6
    talks = (mean * (1 / 3 + step / 60) - ring for step in range(81))
    return {
        "seed": 1,
        "default": [{"outcome": "completed", "ring": ring, "talk": round(talk, 4), "weight": 1} for talk in talks],
    }


def _cores_in_use(whole: System, campaign: str) -> dict[str, float]:
    """Run the campaign; returns the cores that each part of the system used, servers and sandbox included."""
    parts = whole.parts()
    used, began = {part: cpu_seconds(processes) for part, processes in parts.items()}, time.monotonic()
    whole.start(campaign)
    whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    seconds = time.monotonic() - began
    return {part: (cpu_seconds(processes) - used[part]) / seconds for part, processes in parts.items()}


def _cores(used: dict[str, float], load: _Load) -> list[Row]:
    """Return the cores in use, in all and of each part: the carrier shares the machine with what is measured."""
    whole = row(f"cores in use, {load.on}", sum(used.values()), "cores", NAME, limit=os.cpu_count())
    return [whole, *(row(f"cores in use by {part}, {load.on}", cores, "cores", NAME) for part, cores in used.items())]


def _rows(spans: list[Span], load: _Load) -> list[Row]:
    """Return the rows. Where the calls a second are fewer than the channels allow, the waits are the machine's."""
    cap, on = load.cap, load.on
    since, until = busy_time(spans, cap)
    rate = sum(since < start <= until for start, _ in spans) / (until - since)
    mean = mean_live(spans, since, until)
    waits = [wait * 1000 for wait in freed_to_next(spans, since, until)]
    return [
        row(f"mean channels in use while work waits, {on}", mean, "channels", NAME, limit=cap, target=at_least(0.98)),
        row(f"most channels in use at once, {on}", most_live(spans), "channels", NAME, limit=cap, target=at_most(1)),
        row(f"calls placed while work waits, {on}", rate, "calls/s", NAME, limit=cap / load.mean),
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
