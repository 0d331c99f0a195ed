"""Fault 18: rules for the people who are called, with campaigns that share their numbers, while workers die."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from accounts.models import Account
from contacts.models import DoNotCall
from tools.chaos.faults.table import Table
from tools.chaos.run import Run, wire

# At most so many calls to a number within a minute, and none for a minute after a conversation: what is held for longer
# than the run would never end.
CAPS = ["2 attempts in 1 minute", "1 conversation in 1 minute"]
GAP_SECONDS = 3
SHARED, LISTED = 24, 6
ENDS_AFTER = timedelta(seconds=20)
POINTS = ("leased", "claimed", "batch-taken", "gate-asked", "placing")

table = Table()


@table.row("18", "rules for numbers on, kill -9 between claim and intent", race=True)
def rules_on(run: Run) -> Iterator[None]:
    """Three campaigns want the same numbers; in the midst of it some of them come on the do-not-call list."""
    Account.objects.filter(pk=run.account.pk).update(number_caps=CAPS, number_gap_seconds=GAP_SECONDS)
    numbers = [f"+9198{run.chance.randrange(10**7, 10**8)}" for _ in range(SHARED)]
    ends_at = wire(datetime.now(UTC) + ENDS_AFTER + timedelta(seconds=run.system.ahead))
    for name in ("second", "third"):
        run.parameters[name] = {"schedule": {"end_at": ends_at}}
    run.given = dict.fromkeys(("main", "second", "third"), numbers)
    run.also = ["second", "third"]
    yield from run.strikes_at(run.chance.choice(POINTS))
    DoNotCall.objects.bulk_create(
        DoNotCall(account=run.account, number=number, source="csv", added_at=timezone.now())
        for number in run.chance.sample(numbers, LISTED)
    )
    run.note_listed()
