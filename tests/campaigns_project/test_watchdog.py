"""A worker that takes no tasks is ended; one that has nothing to take, or is only slow, is not."""

import time

import pytest

from campaigns_project import watchdog
from core import liveness
from tests.conftest import redis_time

PATIENCE = 0.2


class Ended(Exception):
    pass


@pytest.fixture
def watched(redis, monkeypatch):
    """Make the watchdog check often, and end by an exception."""

    def end():
        raise Ended

    monkeypatch.setattr(watchdog, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "_end", end)
    monkeypatch.setattr(watchdog, "_received_at", time.monotonic())
    return redis


def beats(redis):
    redis.set("progress:beat", redis_time(redis))


def looks(monkeypatch, seconds):
    """Let the watchdog run for so many seconds."""
    until, sleep = time.monotonic() + seconds, time.sleep

    class Over(Exception):
        pass

    def step(duration):
        if time.monotonic() > until:
            raise Over
        sleep(duration)

    monkeypatch.setattr(time, "sleep", step)
    with pytest.raises(Over):
        watchdog._watch(PATIENCE)


def test_a_worker_that_takes_nothing_while_beat_ticks_is_ended(watched):
    beats(watched)
    with pytest.raises(Ended):
        watchdog._watch(PATIENCE)


def test_a_worker_that_takes_tasks_is_left_alone(watched, monkeypatch):
    beats(watched)
    has_work = watchdog._has_work

    def taking():
        watchdog._record_task()
        return has_work()

    monkeypatch.setattr(watchdog, "_has_work", taking)
    looks(monkeypatch, 3 * PATIENCE)


def test_without_beat_there_is_nothing_to_take(watched, monkeypatch):
    looks(monkeypatch, 3 * PATIENCE)


def test_while_redis_is_away_nobody_can_take_anything(watched, monkeypatch, settings):
    from redis.exceptions import ConnectionError as Away

    def away(_who):
        raise Away

    monkeypatch.setattr(liveness, "problem", away)
    looks(monkeypatch, 3 * PATIENCE)
