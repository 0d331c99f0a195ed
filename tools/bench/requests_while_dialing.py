"""GET and create over the API while the system dials at 60 % of its own rate, beside the same while it is idle."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tools.bench.arithmetic import median, percentile
from tools.bench.attempts import CHANNELS, SHORT, completed_rate
from tools.bench.figures import FEWEST_PAIRS, Row, Target, at_most, paired, row
from tools.bench.run import Run
from tools.bench.system import System, campaign_body, number, system
from tools.stack import Client

NAME = "requests"
# To find the machine's own rate, and then to dial for as long as all pairs take, whatever the scale.
FEW, MANY = 4_000, 300_000
SHARE = 0.6
# Ten and five requests of each pair are slower than its p99: that of a hundred would be a single one.
GETS, CREATES = 1_000, 500
WARM_UP = 20
SETTLE_SECONDS = 3
NONE_UP = "SELECT NOT EXISTS (SELECT FROM dialer_callattempt WHERE ended_at IS NULL)"
PLACED = "SELECT count(*) FROM dialer_callattempt WHERE placing_at IS NOT NULL"
HAS_ENDED = "SELECT ended_at IS NOT NULL FROM campaigns_campaign WHERE id = %s"

Times = list[float]
"""Milliseconds that each request took."""


@dataclass(frozen=True)
class _Turn:
    """The times of both kinds of requests, and the calls a second that were placed meanwhile."""

    gets: Times
    creates: Times
    rate: float


def measure(run: Run) -> list[Row]:
    """Measure the p99 and the p50 of each, in turn with the campaign paused and in progress."""
    gets, creates = run.count(GETS, least=100), run.count(CREATES, least=100)
    with system(run, NAME) as whole:
        whole.stack.script(SHORT)
        dialer = whole.account("bench", channels=CHANNELS)
        rate = completed_rate(whole, whole.campaign(dialer, run.count(FEW, least=500)))
        whole.db.execute("UPDATE accounts_account SET starts_per_minute = %s", [round(rate * SHARE * 60)])
        run.say(f"{FEWEST_PAIRS} pairs of requests, dialing at {rate * SHARE:,.0f} of {rate:,.0f} calls/s, and idle")
        turns = list(_turns(whole, dialer, gets, creates))
    on = f"over HTTP while dialing at {SHARE:.0%} of the machine's rate: beside idle"
    placed = median([dialing.rate for dialing, _ in turns])
    of_gets = [(dialing.gets, idle.gets) for dialing, idle in turns]
    of_creates = [(dialing.creates, idle.creates) for dialing, idle in turns]
    kinds = {
        f"GET of a campaign, {gets:,} samples": of_gets,
        f"create with one number, {creates:,} samples": of_creates,
    }
    return [
        *(_row(f"{kind}, p99 {on}", times, 0.99, at_most(3)) for kind, times in kinds.items()),
        *(_row(f"{kind}, p50 {on}", times, 0.5) for kind, times in kinds.items()),
        row(f"calls placed beside GETs and creates, {SHARE:.0%} asked for", placed, "calls/s", NAME, limit=rate),
    ]


def _turns(whole: System, dialer: Client, gets: int, creates: int) -> Iterator[tuple[_Turn, _Turn]]:
    """Yield each pair: dialing, and idle."""
    campaign = whole.campaign(dialer, MANY, first=500_000)
    whole.start(campaign)
    client = whole.account("asking", channels=60)
    asked = client.post_campaign(_body(client))["id"]
    for _ in range(FEWEST_PAIRS):
        dialer.act(campaign, "pause")
        whole.wait_for(NONE_UP, seconds=60, what="calls are still up")
        idle = _turn(whole, client, asked, gets, creates)
        dialer.act(campaign, "resume")
        time.sleep(SETTLE_SECONDS)
        yield _turn(whole, client, asked, gets, creates), idle
    if whole.value(HAS_ENDED, campaign):
        raise ValueError(f"{MANY:,} calls were too few: the campaign has ended before the last pair")


def _turn(whole: System, client: Client, asked: str, gets: int, creates: int) -> _Turn:
    placed, began = whole.value(PLACED), time.monotonic()
    of_gets = _times(lambda: client.campaign(asked), gets)
    of_creates = _times(lambda: client.post_campaign(_body(client)), creates)
    return _Turn(of_gets, of_creates, (whole.value(PLACED) - placed) / (time.monotonic() - began))


def _row(figure: str, pairs: Sequence[tuple[Times, Times]], share: float, target: Target | None = None) -> Row:
    found = [(percentile(dialing, share), percentile(idle, share)) for dialing, idle in pairs]
    return paired(figure, found, "ms", NAME, target=target)


def _body(client: Client) -> dict[str, object]:
    """Return a campaign that starts in 300 days."""
    send_at = (datetime.now(UTC) + timedelta(days=300)).isoformat(timespec="seconds")
    return campaign_body(client, [number(0)]) | {"schedule": {"send_at": send_at}}


def _times(request: Callable[[], object], samples: int) -> Times:
    for _ in range(WARM_UP):
        request()
    times = []
    for _ in range(samples):
        began = time.perf_counter()
        request()
        times.append((time.perf_counter() - began) * 1000)
    return times
