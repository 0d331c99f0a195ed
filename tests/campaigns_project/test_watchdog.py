"""A worker that takes no tasks is ended; one that has nothing to take, or is only slow, is not."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import ConnectionError as Away

from campaigns_project import watchdog
from core import liveness
from tests.conftest import redis_time

PATIENCE = 30.0


class Ended(Exception):
    pass


class Over(Exception):
    pass


class Clock:
    """What the watchdog knows as `time`: sleeping moves it, so that no pause of a busy machine is taken for silence."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends_at = float("inf")

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > self.ends_at:
            raise Over

    @contextmanager
    def ends_after(self, seconds: float) -> Iterator[None]:
        """Let the watchdog run for so many seconds, all of them."""
        self.ends_at = self.now + seconds
        with pytest.raises(Over):
            yield


@pytest.fixture
def watched(redis, monkeypatch):
    """Make the watchdog run by a clock of its own, and end by an exception."""

    def end():
        raise Ended

    clock = Clock()
    monkeypatch.setattr(watchdog, "time", clock)
    monkeypatch.setattr(watchdog, "end_process", end)
    monkeypatch.setattr(watchdog, "_received_at", clock.monotonic())
    return clock


@pytest.fixture
def beat(redis):
    """Beat ticks."""
    redis.set("progress:beat", redis_time(redis))


def test_a_worker_that_takes_nothing_while_beat_ticks_is_ended(watched, beat):
    started = watched.now
    with pytest.raises(Ended):
        watchdog._watch(PATIENCE)
    assert PATIENCE < watched.now - started < 2 * PATIENCE


def test_a_worker_that_takes_tasks_is_left_alone(watched, beat, monkeypatch):
    has_work = watchdog._has_work

    def taking():
        watchdog._record_task()
        return has_work()

    monkeypatch.setattr(watchdog, "_has_work", taking)
    with watched.ends_after(3 * PATIENCE):
        watchdog._watch(PATIENCE)


def test_without_beat_there_is_nothing_to_take(watched):
    with watched.ends_after(3 * PATIENCE):
        watchdog._watch(PATIENCE)


def test_while_redis_is_away_nobody_can_take_anything(watched, monkeypatch):
    def away(_who):
        raise Away

    monkeypatch.setattr(liveness, "problem", away)
    with watched.ends_after(3 * PATIENCE):
        watchdog._watch(PATIENCE)
