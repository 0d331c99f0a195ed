"""The end of a campaign with half a million calls that wait and all callbacks, and what a neighbour feels of it."""

import time
from itertools import pairwise

from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run, watched
from tools.bench.system import System, system
from tools.chaos.receiver import Receiver

NAME = "ending"
CALLS = 500_000
# Of the neighbour: ten rings a second, of calls so short that the channels are never its limit.
STARTS_PER_MINUTE, NEIGHBOURS_CALLS, NEIGHBOURS_ID = 600, 5_000, "08012345670"
SHORT = {"seed": 1, "default": [{"outcome": "completed", "ring": 0.5, "talk": 0.5}]}
STEADY_SECONDS = 3
PATIENCE_SECONDS = 240
SETTINGS = {"WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "True"}
STARTED = "SELECT status = 'in-progress' FROM campaigns_campaign WHERE id = %s"
NONE_WAITS = (
    "SELECT NOT EXISTS (SELECT FROM campaigns_call WHERE campaign_id = %s AND status IN ('created', 'retrying'))"
)


def measure(run: Run) -> list[Row]:
    """Measure from the request to the last call's end, the control workers' memory, and the neighbour's longest gap."""
    calls = run.count(CALLS, least=5_000)
    receiver = Receiver()
    with system(run, "ending", SETTINGS) as whole:
        whole.stack.script(SHORT)
        _start_neighbour(whole)
        client = whole.account("large", channels=1)
        callbacks = ("status_callback", "call_status_callback", "call_schedule_callback")
        campaign = whole.campaign(client, calls, fields={name: receiver.url(f"/{name}") for name in callbacks})
        whole.start(campaign)
        whole.wait_for(STARTED, campaign, seconds=60, what="it has not started")
        client.act(campaign, "pause")
        time.sleep(STEADY_SECONDS)
        run.say(f"the end of {calls:,} calls that wait")
        began = time.time()
        with watched(whole.processes("control@")) as memory:
            client.act(campaign, "complete")
            whole.wait_for(NONE_WAITS, campaign, seconds=PATIENCE_SECONDS, what="calls still wait")
        ended = time.time()
        time.sleep(1)
        gap = _longest_gap(whole, began, ended)
    receiver.close()
    on = f"end of a campaign with {calls:,} waiting calls and all callbacks"
    return [
        row(f"{on}: until the last has ended", ended - began, "s", NAME, target=at_most(30)),
        row(f"{on}: memory of the control workers above idle", memory.above_idle, "MB", NAME, target=at_most(50)),
        row(f"{on}: longest gap between a neighbour's rings, ten a second", gap, "s", NAME, target=at_most(1)),
    ]


def _start_neighbour(whole: System) -> None:
    client = whole.account("neighbour", channels=60, caller_ids=[NEIGHBOURS_ID], starts_per_minute=STARTS_PER_MINUTE)
    campaign = whole.campaign(client, NEIGHBOURS_CALLS, first=1_000_000, caller_id=NEIGHBOURS_ID)
    whole.start(campaign)
    up = "SELECT count(*) >= 10 FROM dialer_callattempt WHERE campaign_id = %s"
    whole.wait_for(up, campaign, seconds=60, what="the neighbour does not ring")


def _longest_gap(whole: System, began: float, ended: float) -> float:
    """Return the longest time without a ring of the neighbour, which begins or ends in the time of the measurement."""
    starts = sorted(start for start, _ in whole.spans(caller_id=NEIGHBOURS_ID))
    return max(second - first for first, second in pairwise(starts) if second >= began and first <= ended)
