"""The dialer's tasks: beat's ticks and our own messages. Each calls one function, which holds the rules."""

from collections.abc import Sequence
from uuid import UUID

from celery import shared_task
from django.conf import settings

from core import clocks, slices, staying
from dialer import (
    daily_limits,
    dialing,
    dispatch,
    due_accounts,
    hour_tally,
    messages,
    old_events,
    recovery,
    turnover,
)

PURGE_INBOX = "dialer.purge_inbox"

# How many workers stay for more at once: one, as more would settle in smaller batches; and one that waits while another
# dials. One worker at least is left for messages.
SETTLERS_STAY, DIALERS_STAY = 1, 2


@shared_task(name="dialer.dispatch_due")
def dispatch_due() -> None:
    """Enqueue a dispatch of every account that has a call to dial and room for it. Beat sends this."""
    at_once, soon = due_accounts.startable(clocks.now())
    messages.enqueue_dispatch(at_once)
    for account_id, seconds in soon:
        messages.enqueue_dispatch_later(account_id, seconds)


@shared_task(name="dialer.dispatch")
def dispatch_account(account_id: int) -> None:
    messages.dispatch_at_work(account_id, lambda: dispatch.dispatch(account_id, clocks.now()))


@shared_task(name="dialer.dial")
def dial(attempt_ids: Sequence[str]) -> None:
    staying.stay("dialer.dial", min(DIALERS_STAY, settings.DIAL_CONCURRENCY - 1), _dial, attempt_ids)


def _dial(attempt_ids: Sequence[str]) -> None:
    dialing.dial([UUID(attempt_id) for attempt_id in attempt_ids])


@shared_task(name="dialer.settle")
def settle() -> None:
    """Settle the inbox, and use the channels that are freed. Beat sends this, and each append to the inbox."""
    staying.stay("dialer.settle", min(SETTLERS_STAY, settings.CONTROL_CONCURRENCY - 1), _settle)


def _settle() -> None:
    messages.settle_at_work(lambda: turnover.settle(clocks.now))


@shared_task(name="dialer.recover")
def recover() -> None:
    recovery.recover(clocks.now())


@shared_task(name="dialer.compact_usage")
def compact_usage() -> None:
    daily_limits.compact(clocks.now())
    hour_tally.compact(clocks.now())


@shared_task(name=PURGE_INBOX)
def purge_inbox() -> None:
    slices.take_turn(PURGE_INBOX, old_events.slices(clocks.now()))
