"""Beat continues to tick when the clock of its machine is set, and spares the queue of a worker that is away."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from campaigns_project import beat
from campaigns_project.celery import app
from campaigns_project.periodic_tasks import TICKS
from core import broker_queues, liveness
from tests.conftest import redis_time
from tools.local.ports import free_ports


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


EVERY_SECOND = sum(seconds == 1 and broker_queues.queue_of(task) == "control" for _, task, seconds in TICKS)


@pytest.fixture
def ticking(transactional_db, redis, monkeypatch):
    """Return a function that lets beat tick for so many seconds; it sends its messages to Valkey."""
    call_command("sync_periodic_tasks", verbosity=0)
    monkeypatch.setattr(liveness, "_noted_at", {})
    with time_machine.travel(timezone.now(), tick=False) as day:
        clocks = Clocks(day)
        monkeypatch.setattr(beat, "_ahead", clocks.ahead)
        scheduler = beat.Scheduler(app=app, lazy=False)
        scheduler._finalize.cancel()
        yield lambda seconds: run(scheduler, clocks, seconds)


def at_work(redis, *, since=0):
    """Let the workers of all queues have taken their last task so many seconds ago."""
    for queue in settings.MAX_SILENCE_SECONDS:
        redis.set(f"progress:{queue}", redis_time(redis) - since)


def test_the_ticks_of_a_worker_that_is_away_do_not_pile_up(ticking, redis):
    at_work(redis)
    redis.set("progress:control", redis_time(redis) - 60)
    ticking(20)
    assert broker_queues.waiting("control") == 1
    assert broker_queues.waiting("dispatch") >= 15, "others have theirs"


def test_a_worker_that_comes_back_has_every_tick_again(ticking, redis):
    at_work(redis, since=60)
    ticking(5)
    at_work(redis)
    before = broker_queues.waiting("control")
    ticking(3)
    assert broker_queues.waiting("control") >= before + 2 * EVERY_SECOND


def test_the_ticks_of_a_slow_worker_whose_queue_was_lost_go_on(ticking, redis):
    """Nothing waits for it, so that it would find nothing when it is back."""
    at_work(redis, since=60)
    for _ in range(3):
        redis.delete("control")
        ticking(2)
        assert broker_queues.waiting("control") == 1


def test_beat_is_at_work_while_it_spares_every_queue(ticking, redis):
    """Or the watchdog of a worker that is stuck would wait for beat."""
    at_work(redis, since=600)
    ticking(20)
    assert not liveness.problem(liveness.BEAT)


def test_where_the_broker_cannot_be_asked_beat_tries_to_send(ticking, redis, monkeypatch):
    at_work(redis, since=60)
    [port] = free_ports(1)
    monkeypatch.setattr(app.conf, "broker_read_url", f"redis://127.0.0.1:{port}/0")
    ticking(3)
    monkeypatch.undo()
    assert broker_queues.waiting("control") >= 2 * EVERY_SECOND
