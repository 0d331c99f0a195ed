"""Faults 15: other accounts get in the way. A neighbour is the judge, with one call after another.

Alone and beside take turns within a run, so that other load of the machine falls on both.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from accounts import audit
from accounts.models import Account, CallerId
from campaigns import lifecycle
from campaigns.models import Call, CallHistory, Campaign
from tools.bench.arithmetic import percentile
from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from webhooks.models import WebhookDelivery

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

# Numbers of a large campaign: five slices and more. The neighbour dials this long alone, and its own numbers last
# until two of them have ended.
LARGE = 12_000
NEIGHBOURS = 300
ALONE_SECONDS = 8.0
# A gap between two rings is longer beside the end where it is twice as long and this much longer, in seconds: each call
# takes one, so a gap of half a second is nothing.
NOISE_GAP_SECONDS = 1.0
TOLD_WITHIN = 300.0

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


@table.row("15c", f"the end of a campaign of {LARGE:,} numbers, and kill -9 in its slices", race=True)
def large_end(run: Run) -> Iterator[None]:
    """The neighbour is the run's own account, whose longest gap between two rings is measured before and beside it."""
    run.numbers |= {"main": NEIGHBOURS, "held": 2, "ending": 4}
    large, caller_id, _ = run.sign_up()
    whole, struck = (_large_campaign(run, large, caller_id, first) for first in (400_000_000, 500_000_000))
    yield
    time.sleep(2)
    alone = _longest_gap(run, lambda: time.sleep(ALONE_SECONDS))
    beside = _longest_gap(run, lambda: _end(run, whole))
    _compare(run, "longest gap", alone, beside, most=2.0, noise=NOISE_GAP_SECONDS)
    run.system.arm("slice-before-commit", run.chance.randint(1, 3))
    run.strike(lambda: lifecycle.complete(struck, actor=audit.SYSTEM))
    _wait_for_kill(run, "slice-before-commit")
    run.system.arm("slice-after-commit", run.chance.randint(1, 2))
    _wait_for_kill(run, "slice-after-commit")
    run.at_end += [lambda: _check_told(run, whole), lambda: _check_told(run, struck)]


def _large_campaign(run: Run, account: Account, caller_id: CallerId, first: int) -> Campaign:
    """Return a paused campaign of many numbers, whose client is told of everything."""
    now = datetime.now(UTC)
    campaign = lifecycle.create(
        account,
        actor=audit.SYSTEM,
        numbers=[f"+919{n:09d}" for n in range(first, first + LARGE)],
        now=now,
        send_at=now + timedelta(days=1),
        caller_id=caller_id,
        caller_id_given=caller_id.number,
        flow_type="greeting",
        text="There is no class tomorrow.",
        status_callback=run.receiver.url("/large/campaign"),
        call_schedule_callback=run.receiver.url("/large/number"),
    )
    return lifecycle.pause(campaign, actor=audit.SYSTEM)


def _end(run: Run, campaign: Campaign) -> None:
    lifecycle.complete(campaign, actor=audit.SYSTEM)
    if not run.wait_for(lambda: not Campaign.objects.get(pk=campaign.pk).is_ending, run.patience):
        run.notes.append(f"{Call.objects.filter(campaign=campaign, ended_at=None).count()} calls were not ended")


def _wait_for_kill(run: Run, point: str) -> None:
    if not run.wait_for(lambda: not run.system.is_armed(), 60):
        run.notes.append(f"no process reached {point}")
        run.system.let_go()


def _longest_gap(run: Run, act: Callable[[], None]) -> float:
    """Return the longest time in which the run's account rang nobody while this is done, in seconds."""
    began = time.time()
    act()
    until = time.time()
    starts = [ring["start"] for ring in run.system.rings(caller_id=run.caller_id.number)["rings"]]
    moments = [began, *sorted(start for start in starts if began < start < until), until]
    return float(max(later - earlier for earlier, later in pairwise(moments)))


def _check_told(run: Run, campaign: Campaign) -> None:
    """Every number must have ended once, and its client must have been told of each, and of the end, once."""
    ended = Counter(Call.objects.filter(campaign=campaign).values_list("status", flat=True))
    moves = CallHistory.objects.filter(subject__campaign=campaign).count()
    if ended != {"failed": LARGE} or moves != LARGE:
        run.notes.append(f"of {LARGE:,} calls that end there are {dict(ended)} after {moves:,} moves")
    webhooks = WebhookDelivery.objects.filter(campaign=campaign)
    if not run.wait_for(lambda: not webhooks.filter(delivered_at=None).exists(), TOLD_WITHIN):
        run.notes.append(f"{webhooks.filter(delivered_at=None).count()} webhooks were not delivered")
    told = Counter(webhooks.values_list("kind", "payload__to"))
    if told.total() != LARGE + 1 or len(told) != LARGE + 1:
        run.notes.append(f"{told.total():,} webhooks of {len(told):,} events, where {LARGE + 1:,} happened")
    if missing := [
        hook for hook in webhooks.values_list("webhook_id", flat=True) if hook.hex not in run.receiver.taken
    ]:
        run.notes.append(f"{len(missing)} webhooks never came, such as {missing[0].hex}")


def _post(account: Account, caller_id: CallerId, campaigns: int, *, first: int) -> None:
    greeting: dict[str, Any] = {"flow_type": "greeting", "text": "There is no class tomorrow."}
    for n in range(first, first + campaigns):
        numbers = [f"+919{n:09d}"]
        own: dict[str, Any] = {"caller_id": caller_id, "caller_id_given": caller_id.number}
        lifecycle.create(account, actor=audit.SYSTEM, numbers=numbers, now=datetime.now(UTC), **own, **greeting)


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


def _compare(run: Run, name: str, alone: float, beside: float, *, most: float, noise: float = NOISE_SECONDS) -> None:
    told = f"the neighbour's ring delay, {name}: {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside"
    print(told, file=sys.stderr, flush=True)  # into the lane's log
    if beside > most * alone and beside - alone > noise:
        run.notes.append(f"{told}: more than {most:g} times")
