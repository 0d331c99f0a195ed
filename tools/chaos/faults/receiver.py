"""Faults 7: the customer's receiver of webhooks misbehaves."""

import time
from collections.abc import Iterator

from tools.chaos.faults.table import Table
from tools.chaos.run import Run

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
    run.receiver.behave()
    if run.receiver.redirected:
        run.notes.append(f"{run.receiver.redirected} redirects were followed")
