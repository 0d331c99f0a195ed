"""Faults 1 to 3 and 11: workers die between two steps, whole processes die, there are too many of them, a deploy."""

from collections.abc import Iterator

from tools.chaos.faults.table import Table
from tools.chaos.run import Run

WORKERS = ("control", "dispatch", "dial", "webhooks", "load")

table = Table()


# 1. A worker dies between two steps ----------------------------------------------------------------------------------


def _killed_at(number: str, point: str, title: str) -> None:
    def fault(run: Run) -> Iterator[None]:
        yield from run.strikes_at(point)

    table.add(number, f"kill -9 {title}", fault, race=True)


_killed_at("1a", "leased", "after the lease")
_killed_at("1b", "claimed", "after the claim")
_killed_at("1c", "published", "after the publish")
_killed_at("1d", "placing", "in placing, before the ring")
_killed_at("1e", "carrier-answered", "in placing, after the ring")
_killed_at("1f", "answer-kept", "after the reply")
_killed_at("1g", "inbox-before-commit", "in the inbox batch, before commit")
_killed_at("1h", "inbox-after-commit", "in the inbox batch, after commit")
_killed_at("1i", "batch-taken", "of a dialer that has taken a message")
_killed_at("1j", "gate-asked", "in placing, before the intent is committed")


# 2. Whole processes die ----------------------------------------------------------------------------------------------


@table.row("2a", "kill -9 of all workers", race=True)
def all_workers(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.kill(*WORKERS))


@table.row("2b", "kill -9 of beat")
def beat(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.kill("beat"))


@table.row("2c", "kill -9 of web while creating, before commit", race=True)
def web_before_creating(run: Run) -> Iterator[None]:
    yield from run.strikes_at("campaign-before-commit")


@table.row("2d", "kill -9 of web while creating, after commit", race=True)
def web_after_creating(run: Run) -> Iterator[None]:
    yield from run.strikes_at("campaign-after-commit")


@table.row("2e", "kill -9 of the events process, before commit", race=True)
def events_before_commit(run: Run) -> Iterator[None]:
    yield from run.strikes_at("event-before-commit", most=30)


@table.row("2f", "kill -9 of the events process, after commit", race=True)
def events_after_commit(run: Run) -> Iterator[None]:
    yield from run.strikes_at("event-after-commit", most=30)


# 3. Too many of them -------------------------------------------------------------------------------------------------


@table.row("3", "two beats, four dispatchers, two dialers at once", race=True)
def crowd(run: Run) -> Iterator[None]:
    more = ("beat-2", "control-2", "control-3", "control-4", "dispatch-2", "dispatch-3", "dispatch-4", "dial-2")
    for name in more:
        run.system.spawn(name)
    yield
    run.wait_a_moment(4, 6)
    run.strike(lambda: run.system.shut_down(*more))


# 11. A deploy --------------------------------------------------------------------------------------------------------


@table.row("11", "a deploy: warm shutdown, migration, start", race=True)
def deploy(run: Run) -> Iterator[None]:
    everything = ("beat", *WORKERS, "web", "events")
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.shut_down(*everything))
    run.system.manage("migrate", "--noinput", "--verbosity", "0")
    for name in everything:
        run.system.spawn(name)
