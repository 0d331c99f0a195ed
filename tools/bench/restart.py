"""Everything is killed while a million calls wait and a thousand are up: how soon rings the first phone after it?"""

import time

from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.bench.system import System, system

NAME = "restart"
WAITING, UP = 1_000_000, 1_000
LONG = {"seed": 1, "default": [{"outcome": "completed", "ring": 1, "talk": 600}]}
PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.05


def measure(run: Run) -> list[Row]:
    """Measure from the moment when /readyz says that all processes are up to the first ring in the new ring log.

    The sandbox is killed with the rest and knows no call afterwards, so the channels of those that were up stay taken.
    The account gets as many again just before.
    """
    waiting, up = run.count(WAITING, least=5_000), run.count(UP, least=100)
    with system(run, NAME) as whole:
        whole.stack.script(LONG)
        campaign = whole.campaign(whole.account("bench", channels=up), waiting + up)
        whole.start(campaign)
        full = "SELECT count(*) >= %s FROM dialer_callattempt WHERE status = 'in-progress'"
        whole.wait_for(full, up, seconds=PATIENCE_SECONDS, what="the channels were not filled")
        run.say(f"everything is killed, {waiting:,} calls wait, {up:,} are up")
        whole.db.execute("UPDATE accounts_account SET channels = 2 * channels")
        whole.kill()
        began = time.time()
        whole.stack.start()
        whole.stack.wait_until_ready()
        ready = time.time()
        first = _first_ring(whole)
    on = f"everything killed with {waiting:,} calls waiting and {up:,} up"
    return [
        row(f"{on}: processes up to first ring", max(0.0, first - ready), "s", NAME, target=at_most(10)),
        row(f"{on}: start to processes up", ready - began, "s", NAME),
    ]


def _first_ring(whole: System) -> float:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if rings := whole.stack.rings()["rings"]:
            return float(min(ring["start"] for ring in rings))
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"no phone rang within {PATIENCE_SECONDS} s\n{whole.stack.tail(5)}")
