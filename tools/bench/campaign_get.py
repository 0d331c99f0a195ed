"""GET of a large campaign, with its stats."""

import time

from tools.bench.arithmetic import percentile
from tools.bench.attempts import CHANNELS, PATIENCE_SECONDS
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.bench.system import System, system

NAME = "campaign-get"
CALLS = 1_000_000
SAMPLES = 200


def measure(run: Run) -> list[Row]:
    """Measure p50 and p95 over HTTP on one connection, of a campaign in progress with a tenth of its calls done.

    Those were really dialled, over the simulated carrier; then the caller ID was switched off, and the others wait.
    """
    calls = run.count(CALLS, least=2_000)
    run.say(f"a tenth of a campaign of {calls:,} calls is dialled")
    with system(run, "campaign-get") as whole:
        client = whole.account("bench", channels=CHANNELS, trunk="simulated")
        campaign = whole.campaign(client, calls)
        _dial_a_tenth(whole, campaign, calls)
        run.say(f"GET of a campaign of {calls:,} calls")
        times = []
        for _ in range(SAMPLES):
            began = time.perf_counter()
            client.campaign(campaign)
            times.append((time.perf_counter() - began) * 1000)
    on = f"campaign GET with stats, {calls:,} calls, a tenth done, {SAMPLES} samples"
    return [
        row(f"{on}, p95", percentile(times, 0.95), "ms", NAME, target=at_most(25)),
        row(f"{on}, p50", percentile(times, 0.5), "ms", NAME),
    ]


def _dial_a_tenth(whole: System, campaign: str, calls: int) -> None:
    done = (
        "SELECT count(*) >= %s FROM (SELECT 1 FROM dialer_callattempt"
        " WHERE campaign_id = %s AND status = 'completed' LIMIT %s) AS found"
    )
    none_up = "SELECT NOT EXISTS (SELECT 1 FROM dialer_callattempt WHERE ended_at IS NULL)"
    tenth = calls // 10
    whole.start(campaign)
    whole.wait_for(done, tenth, campaign, tenth, seconds=PATIENCE_SECONDS, what="no tenth was dialled")
    whole.db.execute("UPDATE accounts_callerid SET is_active = false")
    whole.wait_for(none_up, seconds=60, what="calls are still up")
