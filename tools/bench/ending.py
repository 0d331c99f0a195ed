"""The end of a campaign with half a million calls that wait and all callbacks, and what a neighbour feels of it."""

import time
from itertools import pairwise

from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run, cpu_seconds, watched
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
# Set by the transaction that ends the last call. To look for calls that wait would pass over all that have ended.
ENDED = "SELECT NOT is_ending FROM campaigns_campaign WHERE id = %s"
WAITING = "SELECT count(*) FROM campaigns_call WHERE campaign_id = %s AND status IN ('created', 'retrying')"


def measure(run: Run) -> list[Row]:
    """Measure from the request to the last call's end, the control workers' memory, and the neighbour's longest gap.

    The webhooks of the calls that have ended are delivered meanwhile, as fast as what is left of the machine allows.
    """
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
        parts = {"PostgreSQL": whole.parts()["PostgreSQL"]}
        parts |= {"control workers": whole.processes("control@"), "webhooks": whole.processes("webhooks@")}
        used = {name: -cpu_seconds(processes) for name, processes in parts.items()}
        began = time.time()
        with watched(parts["control workers"]) as memory:
            client.act(campaign, "complete")
            whole.wait_for(ENDED, campaign, seconds=PATIENCE_SECONDS, what="calls still wait")
        ended = time.time()
        used = {name: seconds + cpu_seconds(parts[name]) for name, seconds in used.items()}
        if waiting := whole.value(WAITING, campaign):
            raise ValueError(f"{waiting:,} calls wait after the end")
        time.sleep(1)
        gap = _longest_gap(whole, began, ended)
    receiver.close()
    on = f"end of a campaign with {calls:,} waiting calls and all callbacks"
    return [
        row(f"{on}: until the last has ended", ended - began, "s", NAME, target=at_most(30)),
        row(f"{on}: memory of the control workers above idle", memory.above_idle, "MB", NAME, target=at_most(50)),
        row(f"{on}: longest gap between a neighbour's rings, ten a second", gap, "s", NAME, target=at_most(1)),
        *(row(f"CPU meanwhile, {on}: {name}", seconds, "s", NAME) for name, seconds in used.items()),
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
