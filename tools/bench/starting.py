"""How late campaigns start, and how soon the first phone rings."""

import math
import random
import time
from datetime import UTC, datetime

from tools.bench.arithmetic import percentile
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.bench.system import CALLER_ID, System, campaign_body, number, system

NAME = "starting"
CAMPAIGNS = 1_000
CAMPAIGNS_OF_A_REQUEST = 100
# How long before they are due the first is created: enough to create them all, on a slow machine too.
AHEAD_SECONDS, AHEAD_SECONDS_EACH = 5, 0.025
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 60
SAMPLES = 200
# Seconds between two samples, at random, so that they do not keep in step with beat.
PAUSES = (0.15, 0.55)


def measure(run: Run) -> list[Row]:
    """Measure the start lag and the time to the first ring.

    Start lag: campaigns of one call each, all due at one full second, until another connection sees each in progress,
    and until its call is placed over the simulated carrier.

    First ring: on an idle system, a campaign of one call, from the moment when the request is sent to the ring in the
    sandbox's log. The time that the API takes is part of it.
    """
    with system(run, "starting") as whole:
        return [*_start_lag(run, whole), *_first_ring(run, whole)]


def _start_lag(run: Run, whole: System) -> list[Row]:
    campaigns = run.count(CAMPAIGNS, least=20)
    run.say(f"{campaigns:,} campaigns due in the same second")
    client = whole.account("due", channels=2 * CAMPAIGNS, trunk="simulated")
    due = math.ceil(time.time() + AHEAD_SECONDS + AHEAD_SECONDS_EACH * campaigns)
    schedule = {"send_at": datetime.fromtimestamp(due, UTC).isoformat(timespec="seconds")}
    bodies = [campaign_body(client, [number(position)]) | {"schedule": schedule} for position in range(campaigns)]
    for first in range(0, campaigns, CAMPAIGNS_OF_A_REQUEST):
        some = {"campaigns": bodies[first : first + CAMPAIGNS_OF_A_REQUEST]}
        client.session.post(f"{client.base}/campaigns", json=some, timeout=60).raise_for_status()
    if time.time() >= due:
        raise TimeoutError("the campaigns were due before all of them were created")
    lags = _seen_starting(whole, due, campaigns)
    placed = "SELECT count(placing_at) >= %s FROM dialer_callattempt"
    whole.wait_for(placed, campaigns, seconds=PATIENCE_SECONDS, what="not every call was placed")
    moments = whole.db.execute("SELECT extract(epoch FROM placing_at)::float8 FROM dialer_callattempt").fetchall()
    on = f"{campaigns:,} campaigns of one call due in the same second"
    return [
        row(f"start lag, p99, {on}", percentile(lags, 0.99), "s", NAME, target=at_most(1.0)),
        row(
            f"due to call placed, simulated carrier, p99, {on}",
            percentile([float(at) - due for (at,) in moments], 0.99),
            "s",
            NAME,
        ),
    ]


def _seen_starting(whole: System, due: int, campaigns: int) -> list[float]:
    """Return the seconds after `due` at which each campaign was first seen to have started."""
    lags: list[float] = []
    time.sleep(max(0.0, due - time.time()))
    while len(lags) < campaigns:
        started = whole.value("SELECT count(*) FROM campaigns_campaign WHERE started_at IS NOT NULL")
        lag = time.time() - due
        lags += [lag] * (started - len(lags))
        if lag > PATIENCE_SECONDS:
            raise TimeoutError(f"only {len(lags)} of {campaigns} campaigns have started after {lag:.0f} s")
        time.sleep(LOOK_SECONDS)
    return lags


def _first_ring(run: Run, whole: System) -> list[Row]:
    samples = run.count(SAMPLES, least=10)
    run.say(f"{samples} campaigns of one call, one after the other")
    whole.stack.script({"seed": 1, "default": [{"outcome": "completed", "ring": 0.05, "talk": 0.05}]})
    client = whole.account("idle", channels=60)
    chance = random.Random(1)
    sent: dict[str, float] = {}
    for position in range(samples):
        called = number(position)
        sent[called] = time.time()
        client.post_campaign(campaign_body(client, [called], caller_id=CALLER_ID))
        time.sleep(chance.uniform(*PAUSES))
    rings = whole.stack.rings()["rings"]
    waits = [(ring["start"] - sent[ring["number"]]) * 1000 for ring in rings]
    if len(waits) < samples:
        raise TimeoutError(f"only {len(waits)} of {samples} calls have rung")
    run.series["request to first ring"] = [(wait, rank / samples) for rank, wait in enumerate(sorted(waits), start=1)]
    on = f"one call over HTTP to the sandbox, idle system, {samples} samples"
    return [
        row(f"API request to first ring, p99, {on}", percentile(waits, 0.99), "ms", NAME, target=at_most(300)),
        row(f"API request to first ring, p50, {on}", percentile(waits, 0.5), "ms", NAME),
    ]
