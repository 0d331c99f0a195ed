"""Faults 8: the clock is set, and clocks change. It is set right when the run is over."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from accounts.models import Account
from tools.chaos.faults.table import Table
from tools.chaos.run import STILL_AFTER_END, Run

HOUR = 3600.0

table = Table()


@table.row("8a", "clock set an hour forwards")
def clock_forwards(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.set_clock(HOUR))


@table.row("8b", "clock set an hour backwards, and right again")
def clock_backwards(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    ending = run.campaigns["ending"]
    ending.silences.clear()  # its end is a moment of the server's clock
    run.strike(lambda: run.system.set_clock(-HOUR))
    run.wait_a_moment(4, 6)
    run.system.set_clock(0)
    ending.silences.append((max(time.time(), ending.ends_at) + STILL_AFTER_END, float("inf")))


OWN_CLOCKS = {"web": 40.0, "events": -3.0, "control": -7.0, "dial": 12.0, "webhooks": -HOUR, "load": HOUR, "beat": 25.0}


@table.row("8d", "every process's clock off by another amount")
def clocks_differ(run: Run) -> Iterator[None]:
    run.system.set_own_clocks(OWN_CLOCKS)
    yield
    run.strike(lambda: time.sleep(6))


@table.row("8c", "clocks change (DST) during a campaign")
def daylight_saving(run: Run) -> Iterator[None]:
    """Calling hours from 00:30 to 01:30 in London, on the night in which 01:00 is followed by 02:00."""
    shut = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    opens_again = datetime(2026, 3, 29, 23, 30, tzinfo=UTC)
    hours = {"opens_at": "00:30", "closes_at": "01:30", "time_zone": "Europe/London"}
    Account.objects.filter(pk=run.account.pk).update(**hours)
    shuts_at = time.time() + run.chance.uniform(7, 9)
    run.system.set_clock(shut.timestamp() - shuts_at)
    time.sleep(2)  # every process follows within a tenth of a second, and its next tick sees it
    yield
    time.sleep(max(0, shuts_at - time.time()) + 5)
    run.strike(lambda: run.system.set_clock(opens_again.timestamp() - time.time()))
    for campaign in run.campaigns.values():
        campaign.silences.append((shuts_at + STILL_AFTER_END, time.time()))
