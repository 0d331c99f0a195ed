"""Faults 7: the customer's receiver of webhooks misbehaves."""

import time
from collections.abc import Iterator
from uuid import UUID

from django.db.models import QuerySet

from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from webhooks.models import WebhookDelivery

table = Table()


@table.row("7a", "webhook receiver down")
def receiver_down(run: Run) -> Iterator[None]:
    yield
    run.strike(run.receiver.close)
    time.sleep(6)
    run.receiver.open()


@table.row("7b", "webhook receiver slow")
def receiver_slow(run: Run) -> Iterator[None]:
    run.receiver.seconds = 3
    yield
    run.strike(lambda: time.sleep(6))
    run.receiver.behave()


@table.row("7c", "webhook receiver responds 500")
def receiver_broken(run: Run) -> Iterator[None]:
    run.receiver.status = lambda: 500 if run.chance.random() < 0.3 else 200
    yield
    run.strike(lambda: time.sleep(6))
    run.receiver.behave()


@table.row("7d", "webhook receiver redirects to a private address")
def receiver_redirects(run: Run) -> Iterator[None]:
    run.receiver.status = lambda: 307
    yield
    run.strike(lambda: time.sleep(6))
    if not run.receiver.refused:
        run.notes.append("nothing was tried: no webhook was redirected")
    if not run.wait_for(lambda: not _pending(run), seconds=3):
        run.notes.append(f"{_pending(run)} redirected webhooks were not given up at once")
    run.receiver.behave()
    run.at_end.append(lambda: _check_given_up(run))
    if run.receiver.redirected:
        run.notes.append(f"{run.receiver.redirected} redirects were followed")


def _redirected(run: Run) -> "QuerySet[WebhookDelivery]":
    return WebhookDelivery.objects.filter(webhook_id__in=[UUID(hex_id) for hex_id in run.receiver.refused])


def _pending(run: Run) -> int:
    return _redirected(run).filter(given_up_at=None).count()


def _check_given_up(run: Run) -> None:
    """A redirect is final: asked once, given up, and not asked again when the receiver behaves."""
    again = [id_ for id_, times in run.receiver.refused.items() if times > 1 or id_ in run.receiver.taken]
    if again:
        run.notes.append(f"{len(again)} webhooks were sent again after a redirect, such as {again[0]}")
    if pending := _pending(run):
        run.notes.append(f"{pending} redirected webhooks were not given up")
