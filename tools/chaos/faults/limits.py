"""Faults 12: limits that bind, and ends that take their time to be stored."""

import time
from collections.abc import Iterator

from accounts.models import Account, Trunk
from tools.chaos.faults.table import Table
from tools.chaos.limits import Cap, Pace
from tools.chaos.run import Run

# Of the account and of one of its campaigns: what both keep for a minute, beside two small campaigns, takes a minute.
STARTS_PER_MINUTE = 15
THROTTLE = 8
COMMIT_SECONDS = 3.0

table = Table()


@table.row("12a", "trunk, caller ID and account full at once")
def caps_bind(run: Run) -> Iterator[None]:
    """Two caller IDs share a trunk of five channels, one of them has two of its own, and a third has none."""
    shared = Trunk.objects.create(name=f"shared {run.account.sid}", carrier="sandbox", channels=5)
    narrow, wide = run.add_line(shared, channels=2), run.add_line(shared)
    run.caps[0].must_bind = True
    run.caps.append(Cap("the trunk", 5, [narrow, wide], must_bind=True))
    run.caps.append(Cap("the second caller ID", 2, [narrow], must_bind=True))
    run.also = ["second", "third"]
    run.numbers |= {"main": 20, "second": 30, "third": 40}
    run.parameters |= {"main": {"caller_id": narrow.number}, "second": {"caller_id": wide.number}}
    yield


@table.row("12b", "the pace of an account and of a campaign")
def paces_bind(run: Run) -> Iterator[None]:
    Account.objects.filter(pk=run.account.pk).update(starts_per_minute=STARTS_PER_MINUTE)
    run.numbers |= {"main": 9, "second": 8, "held": 2, "ending": 2}
    run.also = ["second"]
    run.parameters["main"] = {"mode": "custom", "throttle": THROTTLE}
    run.paces = [
        Pace("the account", STARTS_PER_MINUTE, frozenset({"main", "second", "held", "ending"})),
        Pace("the campaign", THROTTLE, frozenset({"main"})),
    ]
    run.order(default=[{"outcome": "completed", "talk": 2}])  # no retries, which would take more minutes
    yield


@table.row("12c", "the commit of ends takes three seconds")
def slow_commit(run: Run) -> Iterator[None]:
    """Meanwhile others dispatch: a channel must not be free before the end of its call is stored."""
    run.caps[1].must_bind = True
    run.numbers |= {"held": 2, "ending": 2}  # the account has channels to spare
    yield
    run.wait_a_moment()
    with run.held_at("ends-before-commit"):
        run.strike(lambda: time.sleep(COMMIT_SECONDS))
