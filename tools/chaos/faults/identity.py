"""Faults 6, continued: whose call it is, when a trunk moves, two accounts dial one number, or an id comes back."""

import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID, uuid4

from accounts import audit, credentials
from accounts.models import Account, CallerId, Trunk
from campaigns.models import Campaign
from dialer.models import CallAttempt
from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from tools.stack import Client

# Calls of eight seconds outlast the time after which the carrier is asked about one that it says nothing of.
SOME_LONG = [
    {"outcome": "completed", "talk": 80, "weight": 2},
    {"outcome": "completed", "talk": 7, "weight": 3},
    {"outcome": "no-answer", "ring": 9, "weight": 1},
    {"outcome": "busy", "weight": 1},
]

table = Table()


@table.row("6l", "a trunk's address, account and token changed with calls up", race=True)
def trunk_moves(run: Run) -> Iterator[None]:
    """The new account is one of the same sandbox, which shows each account its own calls only."""
    trunk = Trunk.objects.create(
        name=f"of {run.account.sid}", carrier="sandbox", base_url=run.system.sandbox_url, account_sid="old"
    )
    CallerId.objects.filter(pk=run.caller_id.pk).update(trunk=trunk)
    lost = ({"name": "hang-after-ring", "rate": 0.3, "seconds": 50}, {"name": "drop-callbacks", "rate": 0.4})
    run.order(*lost, default=SOME_LONG)
    run.at_end.append(lambda: _check_one_call_at_once(run))
    yield
    run.wait_a_moment(1, 3)
    run.strike(lambda: _move(trunk, run.system.sandbox_url))
    time.sleep(3)
    trunk.api_token = uuid4().hex
    trunk.save()
    time.sleep(3)
    run.order()


def _move(trunk: Trunk, address: str) -> None:
    trunk.base_url, trunk.account_sid = address.replace("127.0.0.1", "localhost"), "new"
    trunk.save()


@table.row("6m", "two accounts dial one number, replies and callbacks lost", race=True)
def two_accounts(run: Run) -> Iterator[None]:
    """Every reply is lost at once, that of a call that never rang as that of one that did.

    The other account's attempt waits for the end of the call that may be its own, and is dialled then: twice as long.
    """
    run.patience *= 2
    run.order(
        {"name": "http-500", "rate": 0.5}, {"name": "error-after-ring"}, {"name": "drop-callbacks"}, default=SOME_LONG
    )
    second = _second_account(run)
    run.at_end.append(lambda: _check_second(run, second))
    yield
    run.strike(lambda: _post_shared(run, second))
    time.sleep(9)
    run.order()


def _second_account(run: Run) -> Account:
    sid = f"{run.account.sid}b"
    columns = {name: getattr(run.account, name) for name in ("channels", "starts_per_minute", "opens_at", "closes_at")}
    account = Account.objects.create(sid=sid, **columns)
    number = f"+9181{run.chance.randrange(10**7, 10**8)}"
    CallerId.objects.create(account=account, number=number, trunk=run.caller_id.trunk)
    return account


def _post_shared(run: Run, account: Account) -> None:
    """Dial the numbers of `main` from the second account, in the order in which `main` reaches them."""
    made = credentials.create_key(account, actor=audit.SYSTEM, name="chaos")
    client = Client(run.system.url, account.sid, made.key, made.token)
    client.post_campaign(
        {
            "name": "shared",
            "caller_id": CallerId.objects.get(account=account).number,
            "from": run.campaigns["main"].numbers,
            "read_via_text": "There is no class tomorrow.",
            "flow_type": "greeting",
        }
    )


def _check_second(run: Run, account: Account) -> None:
    still_open = Campaign.objects.filter(account=account, status__in=Campaign.OPEN)
    if not run.wait_for(lambda: not still_open.exists(), run.patience):
        run.notes.append("the campaign of the second account never ended")
    for of in (run.account, account):
        _check_outcomes(run, of)
    Account.objects.filter(pk=account.pk).update(is_active=False)


@table.row("6n", "the carrier gives ids again, and its callbacks are late", race=True)
def ids_come_back(run: Run) -> Iterator[None]:
    """Late callbacks, so that calls are asked for meanwhile by ids that show others."""
    late = {"name": "delay-callbacks", "rate": 0.6, "seconds": 90}
    run.order({"name": "repeat-sids", "rate": 0.5}, late, default=SOME_LONG)
    run.at_end.append(lambda: _check_outcomes(run, run.account))
    run.at_end.append(lambda: _check_one_call_at_once(run))
    yield
    run.strike(lambda: time.sleep(8))
    run.order()


def _check_one_call_at_once(run: Run) -> None:
    """No number of the run may have two calls up at once."""
    rings = defaultdict(list)
    for ring in run.system.rings(caller_id=run.caller_id.number)["rings"]:
        rings[ring["number"]].append(ring)
    for number, own in rings.items():
        own.sort(key=lambda ring: ring["start"])
        for earlier, later in pairwise(own):
            if earlier["end"] is None or later["start"] < earlier["end"]:
                run.notes.append(f"{number} was rung while a call to it was up")


def _check_outcomes(run: Run, account: Account) -> None:
    """Each attempt must have the outcome of its own ring. One that failed with a reason was spent."""
    number = CallerId.objects.get(account=account).number
    rings = {UUID(ring["attempt_id"]): ring for ring in run.system.rings(caller_id=number)["rings"]}
    for attempt in CallAttempt.objects.filter(account=account):
        ring = rings.get(attempt.pk)
        if attempt.reason.startswith("a fault of this server"):
            run.notes.append(f"attempt {attempt.pk.hex}: {attempt.reason}")
        was_spent = attempt.status == CallAttempt.Status.FAILED and attempt.reason
        if ring is None and attempt.status != CallAttempt.Status.CANCELED and not was_spent:
            run.notes.append(f"attempt {attempt.pk.hex} is {attempt.status} and never rang")
        if ring and attempt.status != ring["outcome"] and not was_spent:
            run.notes.append(f"attempt {attempt.pk.hex} is {attempt.status}, and its ring was {ring['outcome']}")
