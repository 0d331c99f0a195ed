"""Beat continues to tick when the clock of its machine is set."""

from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from campaigns_project import beat
from campaigns_project.celery import app
from campaigns_project.periodic_tasks import TICKS


@pytest.fixture
def sent(transactional_db, monkeypatch):
    """The tasks that beat sends, in order."""
    call_command("sync_periodic_tasks", verbosity=0)
    tasks = []
    monkeypatch.setattr(beat.Scheduler, "apply_async", lambda _self, entry, **_: tasks.append(entry.task))
    return tasks


class Clocks:
    """The time of day, which can be set, and the monotonic clock."""

    def __init__(self, day):
        self.day = day
        self.offset = timedelta()

    def set(self, by):
        self.day.shift(by)
        self.offset += by

    def ahead(self):
        return self.offset.total_seconds()


def run(scheduler, clocks, seconds):
    """Let so many seconds pass, in steps of a tenth."""
    for _ in range(seconds * 10):
        clocks.day.shift(timedelta(seconds=0.1))
        while scheduler.tick() == 0:
            pass


@pytest.mark.parametrize("hours", [-1, 1])
def test_every_tick_goes_on_after_the_clock_was_set(sent, monkeypatch, hours):
    every_second = {task for _, task, seconds in TICKS if seconds == 1}
    with time_machine.travel(timezone.now(), tick=False) as day:
        clocks = Clocks(day)
        monkeypatch.setattr(beat, "_ahead", clocks.ahead)
        scheduler = beat.Scheduler(app=app, lazy=False)
        scheduler._finalize.cancel()  # the database is gone when this process ends
        run(scheduler, clocks, 3)
        assert every_second <= set(sent)
        sent.clear()
        clocks.set(timedelta(hours=hours))
        run(scheduler, clocks, 4)
    assert every_second <= set(sent), "the ticks go on"
    assert max(sent.count(task) for task in every_second) <= 5, "and not faster than before"


def test_a_beat_that_starts_after_the_clock_was_set_back_ticks(sent, monkeypatch):
    PeriodicTask.objects.update(last_run_at=timezone.now() + timedelta(hours=1))
    with time_machine.travel(timezone.now(), tick=False) as day:
        monkeypatch.setattr(beat, "_ahead", lambda: 0.0)
        scheduler = beat.Scheduler(app=app, lazy=False)
        scheduler._finalize.cancel()
        run(scheduler, Clocks(day), 3)
    assert {task for _, task, seconds in TICKS if seconds == 1} <= set(sent)
