"""GET and create over the API while the system dials at 60 % of its own rate, beside the same while it is idle."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tools.bench.arithmetic import median, percentile
from tools.bench.attempts import CHANNELS, SHORT, completed_rate
from tools.bench.figures import FEWEST_PAIRS, Row, Target, at_most, paired, row
from tools.bench.paced import Paced
from tools.bench.run import Run
from tools.bench.system import System, campaign_body, number, system
from tools.stack import Client

NAME = "requests"
# To find the machine's own rate: so many that nearly all of them wait for a channel that a call frees. Of a few
# thousand half do not, and 60 % of what such a burst shows is more than the machine can keep up.
CALLS_FOR_RATE = 12_000
SHARE = 0.6
# To dial for as long as all pairs take, whatever the scale.
MANY = 300_000
# Requests a second in each half of each pair, whether the system dials or not, and for how long: the p99 of a half
# rests on ten GETs and six creates, that of all five on fifty and thirty. Together they take a fifth of a core.
GETS_PER_SECOND, CREATES_PER_SECOND, HALF_SECONDS = 30, 18, 34
SETTLE_SECONDS = 3
NONE_UP = "SELECT NOT EXISTS (SELECT FROM dialer_callattempt WHERE ended_at IS NULL)"
PLACED = "SELECT count(*) FROM dialer_callattempt WHERE placing_at IS NOT NULL"
HAS_ENDED = "SELECT ended_at IS NOT NULL FROM campaigns_campaign WHERE id = %s"

Times = list[float]
"""Milliseconds that each request took."""


@dataclass(frozen=True)
class _Half:
    """The times of both kinds of requests, and the calls a second that were placed meanwhile."""

    gets: Times
    creates: Times
    rate: float


def measure(run: Run) -> list[Row]:
    """Measure the p99 and the p50 of each, in turn with the campaign paused and in progress."""
    seconds = run.count(HALF_SECONDS, least=3)
    with system(run, NAME) as whole:
        whole.stack.script(SHORT)
        dialer = whole.account("bench", channels=CHANNELS)
        rate = completed_rate(whole, whole.campaign(dialer, run.count(CALLS_FOR_RATE, least=500)))
        whole.db.execute("UPDATE accounts_account SET starts_per_minute = %s", [round(rate * SHARE * 60)])
        run.say(f"{FEWEST_PAIRS} pairs of requests, dialing at {rate * SHARE:,.0f} of {rate:,.0f} calls/s, and idle")
        pairs = list(_pairs(whole, dialer, seconds))
    on = f"over HTTP while dialing at {SHARE:.0%} of the machine's rate: beside idle"
    placed = median([dialing.rate for dialing, _ in pairs])
    of_gets = [(dialing.gets, idle.gets) for dialing, idle in pairs]
    of_creates = [(dialing.creates, idle.creates) for dialing, idle in pairs]
    kinds = {
        f"GET of a campaign, {len(of_gets[0][0]):,} in each half": of_gets,
        f"create with one number, {len(of_creates[0][0]):,} in each half": of_creates,
    }
    return [
        *(_row(f"{kind}, p99 {on}", times, 0.99, at_most(3)) for kind, times in kinds.items()),
        *(_row(f"{kind}, p50 {on}", times, 0.5) for kind, times in kinds.items()),
        row(f"calls placed beside GETs and creates, {SHARE:.0%} asked for", placed, "calls/s", NAME, limit=rate),
    ]


def _pairs(whole: System, dialer: Client, seconds: int) -> Iterator[tuple[_Half, _Half]]:
    """Yield each pair: dialing, and idle."""
    # One for each half, as a create counts what its account has open.
    clients = iter([whole.account(f"asking-{half}", channels=60) for half in range(2 * FEWEST_PAIRS)])
    campaign = whole.campaign(dialer, MANY, first=500_000)
    whole.start(campaign)
    for _ in range(FEWEST_PAIRS):
        time.sleep(SETTLE_SECONDS)
        dialer.act(campaign, "pause")
        whole.wait_for(NONE_UP, seconds=60, what="calls are still up")
        time.sleep(SETTLE_SECONDS)
        idle = _half(whole, next(clients), seconds)
        dialer.act(campaign, "resume")
        time.sleep(SETTLE_SECONDS)
        yield _half(whole, next(clients), seconds), idle
    if whole.value(HAS_ENDED, campaign):
        raise ValueError(f"{MANY:,} calls were too few: the campaign has ended before the last pair")


def _half(whole: System, client: Client, seconds: int) -> _Half:
    asked = client.post_campaign(_body(client))["id"]
    body = json.dumps({"campaigns": [_body(client)]}).encode()
    pace, more = GETS_PER_SECOND, CREATES_PER_SECOND
    gets = Paced(client, "GET", f"/campaigns/{asked}", pace=pace, count=pace * seconds)
    creates = Paced(client, "POST", "/campaigns", pace=more, count=more * seconds, body=body)
    placed, began = whole.value(PLACED), time.monotonic()
    for asking in (gets, creates):
        asking.start()
    of_gets, of_creates = gets.result(), creates.result()
    return _Half(of_gets, of_creates, (whole.value(PLACED) - placed) / (time.monotonic() - began))


def _row(figure: str, pairs: Sequence[tuple[Times, Times]], share: float, target: Target | None = None) -> Row:
    found = [(percentile(dialing, share), percentile(idle, share)) for dialing, idle in pairs]
    return paired(figure, found, "ms", NAME, target=target)


def _body(client: Client) -> dict[str, object]:
    """Return a campaign that starts in 300 days."""
    send_at = (datetime.now(UTC) + timedelta(days=300)).isoformat(timespec="seconds")
    return campaign_body(client, [number(0)]) | {"schedule": {"send_at": send_at}}
