"""GET and create over the API while the system dials at 60 % of its own rate, beside the same while it is idle."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tools.bench.arithmetic import percentile
from tools.bench.attempts import CHANNELS, SHORT, completed_rate
from tools.bench.figures import FEWEST_PAIRS, Row, at_most, paired
from tools.bench.run import Run
from tools.bench.system import System, campaign_body, number, system
from tools.stack import Client

NAME = "requests"
# To find the machine's own rate, and then to dial for as long as all pairs take, whatever the scale.
FEW, MANY = 4_000, 200_000
SHARE = 0.6
GETS, CREATES = 200, 100
SETTLE_SECONDS = 3
NONE_UP = "SELECT NOT EXISTS (SELECT FROM dialer_callattempt WHERE ended_at IS NULL)"


def measure(run: Run) -> list[Row]:
    """Measure the p99 of each, in turn with the campaign paused and in progress."""
    with system(run, NAME) as whole:
        whole.stack.script(SHORT)
        dialer = whole.account("bench", channels=CHANNELS)
        rate = completed_rate(whole, whole.campaign(dialer, run.count(FEW, least=500)))
        whole.db.execute("UPDATE accounts_account SET starts_per_minute = %s", [round(rate * SHARE * 60)])
        campaign = whole.campaign(dialer, MANY, first=500_000)
        whole.start(campaign)
        client = whole.account("asking", channels=60)
        asked = client.post_campaign(_body(client))["id"]
        run.say(f"{FEWEST_PAIRS} pairs of requests, dialing at {rate * SHARE:,.0f} of {rate:,.0f} calls/s, and idle")
        turns = [_turn(whole, dialer, campaign, client, asked) for _ in range(FEWEST_PAIRS)]
    on = f"p99 over HTTP while dialing at {SHARE:.0%} of the machine's rate: beside idle"
    gets, creates = zip(*turns, strict=True)
    return [
        paired(f"GET of a campaign, {GETS} samples, {on}", gets, "ms", NAME, target=at_most(3)),
        paired(f"create with one number, {CREATES} samples, {on}", creates, "ms", NAME, target=at_most(3)),
    ]


def _turn(
    whole: System, dialer: Client, campaign: str, client: Client, asked: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (dialing, idle) in milliseconds, of GETs and of creates."""
    dialer.act(campaign, "pause")
    whole.wait_for(NONE_UP, seconds=60, what="calls are still up")
    idle = _p99(lambda: client.campaign(asked), GETS), _p99(lambda: client.post_campaign(_body(client)), CREATES)
    dialer.act(campaign, "resume")
    time.sleep(SETTLE_SECONDS)
    dialing = _p99(lambda: client.campaign(asked), GETS), _p99(lambda: client.post_campaign(_body(client)), CREATES)
    return (dialing[0], idle[0]), (dialing[1], idle[1])


def _body(client: Client) -> dict[str, object]:
    """Return a campaign that starts in 300 days."""
    send_at = (datetime.now(UTC) + timedelta(days=300)).isoformat(timespec="seconds")
    return campaign_body(client, [number(0)]) | {"schedule": {"send_at": send_at}}


def _p99(request: Callable[[], object], samples: int) -> float:
    times = []
    for _ in range(samples):
        began = time.perf_counter()
        request()
        times.append((time.perf_counter() - began) * 1000)
    return percentile(times, 0.99)
