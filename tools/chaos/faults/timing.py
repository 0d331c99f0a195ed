"""Faults 13 and 14: a gate that shuts between a claim and its intent, and messages that come more than once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Account, CallerId
from dialer import messages
from dialer.models import CallAttempt
from tools.chaos.faults.table import Table
from tools.chaos.run import STILL_AFTER_PAUSE, Run

Status = CallAttempt.Status

# A batch whose gate was asked a moment before it shut has its intent by then. The batch that is held is much younger
# than the ten seconds after which a claim is given back for its age.
AFTER_SHUTTING = 1.0
# Longer than a request that had its intent before the gate shut may still be on its way.
SHUT_SECONDS = 6.0
FLOOD_SECONDS = 6.0
# How long a call waits at the carrier (a second of its script takes a tenth), and until when those are taken back.
QUEUED_SECONDS, WITHDRAWN_WITHIN = 16, 8.0
TRIES = 10

Act = Callable[[Run], Any]

table = Table()


# 13. The gate shuts between claim and intent -------------------------------------------------------------------------


def _gate_shuts(number: str, title: str, shut: Act, open_again: Act, *, only: str = "") -> None:
    """Add a fault: a dialer is held with a batch that it has taken, and meanwhile the gate shuts.

    Args:
        only: the campaign that it shuts for; otherwise it shuts for all.
    """

    def fault(run: Run) -> Iterator[None]:
        yield
        run.wait_a_moment()
        with _batch_held(run, only):
            run.strike(lambda: shut(run))
            shut_at = time.time()
            time.sleep(AFTER_SHUTTING)
            run.must_not_ring = set(_claimed(run, only).values_list("pk", flat=True))
        if not run.must_not_ring:
            run.notes.append("no call was claimed when the gate shut")
        time.sleep(SHUT_SECONDS)
        for name in [only] if only else ["main", "held"]:
            run.campaigns[name].silences.append((shut_at + STILL_AFTER_PAUSE, time.time()))
        open_again(run)

    table.add(number, f"{title} between claim and intent", fault, race=True)


@contextmanager
def _batch_held(run: Run, only: str) -> Iterator[None]:
    """Hold a dialer that has taken a batch with calls of the campaign: many a batch has none. Raises TimeoutError."""
    for _ in range(TRIES):
        with run.held_at("batch-taken"):
            # Those of other dialers are claimed for milliseconds.
            first = set(_claimed(run, only).values_list("pk", flat=True))
            time.sleep(0.2)
            if _claimed(run, only).filter(pk__in=first).exists():
                yield
                return
    raise TimeoutError(f"in {TRIES} tries no dialer took a batch with a call of the campaign")


def _change_account(**columns: Any) -> Act:
    return lambda run: Account.objects.filter(pk=run.account.pk).update(**columns)


def _end_hours(run: Run) -> None:
    """Let the calling hours be an hour that is over."""
    # An account of UTC, so that the hours before this one are today's; within the first two of a day, the last ones.
    now = timezone.now()
    opens = now - timedelta(hours=2) if now.hour >= 2 else now + timedelta(hours=12)
    closes = opens + timedelta(minutes=30)
    hours = {"opens_at": opens.time(), "closes_at": closes.time(), "time_zone": "UTC"}
    Account.objects.filter(pk=run.account.pk).update(**hours)


def _caller_id(*, is_active: bool) -> Act:
    return lambda run: CallerId.objects.filter(pk=run.caller_id.pk).update(is_active=is_active)


_gate_shuts("13a", "a pause", lambda run: run.act("main", "pause"), lambda run: run.act("main", "resume"), only="main")
_gate_shuts("13b", "the end of the hours", _end_hours, _change_account(opens_at="00:00", closes_at="00:00"))
_gate_shuts("13c", "the account's deactivation", _change_account(is_active=False), _change_account(is_active=True))
_gate_shuts("13d", "the caller ID's deactivation", _caller_id(is_active=False), _caller_id(is_active=True))


@table.row("13e", "the end of the hours while calls wait at the carrier, where it lets them")
def queued_at_the_close(run: Run) -> Iterator[None]:
    """Calls that the carrier took wait in its queue for longer than the server needs to take them back."""
    run.order({"name": "queue-calls", "rate": 0.5, "seconds": 10 * QUEUED_SECONDS})
    yield
    run.wait_a_moment(1, 2)
    run.strike(lambda: _end_hours(run))
    shut_at = time.time()
    run.order()
    time.sleep(QUEUED_SECONDS + 2)
    for name in ("main", "held"):
        run.campaigns[name].silences.append((shut_at + WITHDRAWN_WITHIN + STILL_AFTER_PAUSE, time.time()))
    _change_account(opens_at="00:00", closes_at="00:00")(run)


# 14. Messages delivered more than once -------------------------------------------------------------------------------


@table.row("14a", "two dialers with one batch at once", race=True)
def one_batch_twice(run: Run) -> Iterator[None]:
    """The first has found its attempts claimed when the second commits their intents."""
    yield
    run.wait_a_moment()
    with run.held_at("gate-asked"):
        batch = _batch_of(run)
        run.strike(lambda: messages.enqueue_dial(batch))
        ids = [attempt_id for attempt_id, _, _ in batch]
        still_claimed = CallAttempt.objects.filter(pk__in=ids, status=Status.CLAIMED)
        if not batch or not run.wait_for(lambda: not still_claimed.exists(), 5):
            run.notes.append("no second dialer took the batch")
        time.sleep(0.5)  # the second asks the carrier


@table.row("14b", "every message delivered again and again", race=True)
def flood(run: Run) -> Iterator[None]:
    yield
    run.strike(lambda: None)
    until = time.monotonic() + FLOOD_SECONDS
    while time.monotonic() < until:
        batch = _batch_of(run)
        messages.enqueue_dial(batch)
        messages.enqueue_dial(batch)
        for task, arguments in (("dialer.dispatch", [run.account.pk]), ("dialer.settle", []), ("dialer.recover", [])):
            current_app.send_task(task, args=arguments, expires=5)
        time.sleep(0.05)


def _batch_of(run: Run) -> list[tuple[Any, int, str]]:
    return list(_claimed(run).values_list("pk", "trunk_id", "callee"))


def _claimed(run: Run, only: str = "") -> "QuerySet[CallAttempt]":
    """Return the claimed attempts, of all campaigns or of one."""
    claimed = CallAttempt.objects.filter(campaign__account=run.account, status=Status.CLAIMED)
    return claimed.filter(campaign=run.campaigns[only].id) if only else claimed
