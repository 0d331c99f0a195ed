"""Faults 15: other accounts get in the way. A neighbour is the judge, with one call after another.

Alone and beside take turns within a run, so that other load of the machine falls on both.
"""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Account, CallerId
from campaigns import lifecycle
from tools.bench.arithmetic import percentile
from tools.chaos.faults.table import Table
from tools.chaos.run import Run

CAMPAIGNS = 2_000
ACCOUNTS = 1_000
# The neighbour makes so many calls in each of its turns alone, and in as many beside the others. A p99 needs a hundred:
# of fewer it is the slowest one, which any other program of the machine decides.
TURNS, CALLS_FOR_P99, CALLS_FOR_MEDIAN = 3, 40, 12
APART_SECONDS = 0.25
# After the others were let loose or held back: two ticks.
SETTLES_SECONDS = 2.0
# Delays below that say nothing about anybody: a tick that comes a little later is as much.
NOISE_SECONDS = 0.05

table = Table()


@table.row("15a", f"a neighbour with {CAMPAIGNS:,} campaigns of one number each")
def noisy_neighbour(run: Run) -> Iterator[None]:
    noisy, caller_id, _ = run.sign_up()
    _post(noisy, caller_id, CAMPAIGNS, first=100_000_000)
    yield
    alone, beside = _measure(run, Account.objects.filter(pk=noisy.pk), CALLS_FOR_P99)
    _compare(run, "p99", percentile(alone, 0.99), percentile(beside, 0.99), most=2.0)


@table.row("15b", f"{ACCOUNTS:,} accounts with due calls outside their calling hours")
def idle_accounts(run: Run) -> Iterator[None]:
    now = datetime.now(UTC)
    # An hour of the day that is twelve hours away.
    opens = (now + timedelta(hours=12)).replace(minute=0, second=0, microsecond=0)
    hours = {"time_zone": "UTC", "opens_at": opens.time(), "closes_at": (opens + timedelta(minutes=30)).time()}
    name = f"idle{run.seed}-{run.account.pk}-"
    accounts = Account.objects.bulk_create([Account(sid=f"{name}{n}", **hours) for n in range(ACCOUNTS)])
    for account in accounts:
        caller_id = CallerId.objects.create(account=account, number="+918000000000", trunk=run.caller_id.trunk)
        _post(account, caller_id, 1, first=200_000_000)
    yield
    alone, beside = _measure(run, Account.objects.filter(sid__startswith=name), CALLS_FOR_MEDIAN)
    _compare(run, "median", percentile(alone, 0.5), percentile(beside, 0.5), most=1.2)


def _post(account: Account, caller_id: CallerId, campaigns: int, *, first: int) -> None:
    greeting: dict[str, Any] = {"flow_type": "greeting", "text": "There is no class tomorrow."}
    for n in range(first, first + campaigns):
        numbers = [f"+919{n:09d}"]
        own: dict[str, Any] = {"caller_id": caller_id, "caller_id_given": caller_id.number}
        lifecycle.create(account, numbers=numbers, now=datetime.now(UTC), **own, **greeting)


def _measure(run: Run, others: Any, calls: int) -> tuple[list[float], list[float]]:
    """Return the neighbour's ring delays in seconds: while the others are inactive, and while they are active."""
    ring = _Neighbour(run).ring
    alone: list[float] = []
    beside: list[float] = []
    run.strike(lambda: None)
    for _ in range(TURNS):
        for is_active, delays in ((False, alone), (True, beside)):
            others.update(is_active=is_active)
            time.sleep(SETTLES_SECONDS)
            delays += ring(calls)
    others.update(is_active=False)
    return alone, beside


class _Neighbour:
    """An account that posts a campaign of one number, and then the next one."""

    def __init__(self, run: Run) -> None:
        self.run = run
        _, self.caller_id, self.client = run.sign_up()
        self.next = 300_000_000

    def ring(self, calls: int) -> list[float]:
        """Return the seconds from each request to its ring. Raises TimeoutError."""
        posted: dict[str, float] = {}
        for _ in range(calls):
            self.next += 1
            number = f"+919{self.next:09d}"
            body = {"caller_id": self.caller_id.number, "from": [number]}
            body |= {"read_via_text": "There is no class tomorrow.", "flow_type": "greeting"}
            posted[number] = time.time()
            self.client.post_campaign(body)
            time.sleep(APART_SECONDS)
        rung: dict[str, float] = {}

        def all_rung() -> bool:
            log = self.run.system.rings(caller_id=self.caller_id.number)["rings"]
            rung.update({ring["number"]: ring["start"] for ring in log if ring["number"] in posted})
            return len(rung) == len(posted)

        if not self.run.wait_for(all_rung, self.run.patience):
            raise TimeoutError(f"{len(posted) - len(rung)} calls of a neighbour never rang")
        return [rung[number] - at for number, at in posted.items()]


def _compare(run: Run, name: str, alone: float, beside: float, *, most: float) -> None:
    told = f"the neighbour's ring delay, {name}: {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside"
    print(told, file=sys.stderr, flush=True)  # into the lane's log
    if beside > most * alone and beside - alone > NOISE_SECONDS:
        run.notes.append(f"{told}: more than {most:g} times")
