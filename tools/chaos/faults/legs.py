"""Fault 20: flows connect callees to people whom campaigns call, too, with rules for numbers, while something dies."""

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.models import Account
from campaigns.models import Flow
from contacts.models import DoNotCall
from dialer.models import Transfer
from tools.chaos.faults.processes import WORKERS
from tools.chaos.faults.table import Table
from tools.chaos.run import Run, wire

# At most so many calls to a person within a minute, attempts and legs together. The campaigns last for less, so nobody
# waits for its end.
CAPS = ["4 attempts in 1 minute", "2 conversations in 1 minute"]
GAP_SECONDS = 3
PEOPLE, LISTED = 24, 6
# How many of them a flow tries, one after another.
EACH = 4
ENDS_AFTER = timedelta(seconds=18)
SHARING = ("main", "second", "third")
POINTS = ("leased", "claimed", "batch-taken", "gate-asked", "placing", "carrier-answered", "leg-claimed")
# Callees stay on the line while the flow tries one person after another, and some hang up meanwhile.
CALLEES: list[dict[str, Any]] = [
    {"outcome": "completed", "talk": 40, "transfer": "completed", "weight": 3},
    {"outcome": "completed", "talk": 40, "transfer": "busy", "weight": 2},
    {"outcome": "completed", "talk": 40, "transfer": "no-answer", "weight": 2},
    {"outcome": "completed", "talk": 4, "transfer": "completed", "weight": 2},
    {"outcome": "no-answer", "ring": 9, "weight": 2},
    {"outcome": "busy", "weight": 2},
]

table = Table()


def _connecting(run: Run) -> Iterator[None]:
    """Set up the run before its `yield`; after it, list some of the people. Meanwhile the caller breaks something.

    Five campaigns connect their callees to the people. Three of them call those people, too.
    """
    Account.objects.filter(pk=run.account.pk).update(number_caps=CAPS, number_gap_seconds=GAP_SECONDS)
    run.dial_over("twilio")
    run.order(default=CALLEES)
    people = [f"+9198{run.chance.randrange(10**7, 10**8)}" for _ in range(PEOPLE)]
    run.given = dict.fromkeys(SHARING, people)
    run.also = ["second", "third"]
    ends_at = wire(datetime.now(UTC) + ENDS_AFTER + timedelta(seconds=run.system.ahead))
    for name in (*SHARING, "held", "ending"):
        run.parameters[name] = _flow(run, name, run.chance.sample(people, EACH))
        if name in SHARING:
            run.parameters[name]["schedule"] = {"end_at": ends_at}
    run.judges_legs = True
    yield
    DoNotCall.objects.bulk_create(
        DoNotCall(account=run.account, number=number, source="csv", added_at=timezone.now())
        for number in run.chance.sample(people, LISTED)
    )
    run.note_listed()


def _flow(run: Run, name: str, numbers: list[str]) -> dict[str, Any]:
    """Store a flow that connects to these numbers. Returns the parameters of a campaign that follows it."""
    says = [{"say": "Please hold the line."}] if run.chance.random() < 0.5 else []
    document = {"steps": [*says, {"connect": {"numbers": numbers, "ring": 5}}, {"say": "Good bye."}]}
    Flow.objects.create(account=run.account, flow_id=name, document=document)
    url = f"http://my.exotel.com/{run.account.sid}/exoml/start_voice/{name}"
    return {"url": url, "read_via_text": None, "flow_type": None}


@table.row("20a", "flows connect to people with rules on, kill -9 at a step of a call or a leg", race=True)
def killed_at_a_step(run: Run) -> Iterator[None]:
    people = _connecting(run)
    next(people)
    yield from run.strikes_at(run.chance.choice(POINTS))
    next(people, None)


def _while_connected(number: str, title: str, break_it: Callable[[Run], Any], mend: Callable[[Run], Any]) -> None:
    def fault(run: Run) -> Iterator[None]:
        people = _connecting(run)
        next(people)
        yield
        talking = Transfer.objects.filter(account_id=run.account.pk, ended_at=None).exclude(placing_at=None)
        if not run.wait_for(talking.exists, 15):
            run.notes.append("nothing was tried: nobody was connected to anybody")
        run.wait_a_moment(0, 1)
        run.strike(lambda: break_it(run))
        mend(run)
        connection.close()  # the fault may have ended it
        next(people, None)

    table.add(number, f"flows connect to people with rules on, {title}", fault, race=True)


def _nothing(run: Run) -> None:
    """The supervisor mends it."""


def _start_servers(run: Run) -> None:
    run.system.start_servers()


_while_connected("20b", "kill -9 of all workers and web", lambda run: run.system.kill(*WORKERS, "web"), _nothing)
_while_connected("20c", "Redis killed, and back empty", lambda run: run.system.kill_valkey(), _start_servers)
_while_connected("20d", "PostgreSQL killed", lambda run: run.system.stop_postgres(signal.SIGKILL), _start_servers)
