"""A worker that takes no tasks is ended; one that has nothing to take, or is only slow, is not."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import ConnectionError as Away

from campaigns_project import watchdog
from campaigns_project.celery import app
from core import liveness
from tests.conftest import redis_time
from tools.local.ports import free_ports

QUEUES = ["dial"]
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


@pytest.fixture
def messages(redis):
    """Messages wait in the queue."""
    redis.rpush("dial", "a message")


def silence_until_the_end(watched):
    """Return the seconds after which the watchdog ends a worker that takes nothing."""
    started = watched.now
    watched.ends_at = started + 20 * PATIENCE
    with pytest.raises(Ended):
        watchdog._watch(QUEUES, PATIENCE)
    return watched.now - started


def test_a_worker_that_takes_nothing_while_messages_wait_is_ended(watched, messages):
    assert PATIENCE < silence_until_the_end(watched) < 2 * PATIENCE


def test_a_worker_that_takes_nothing_while_beat_ticks_is_ended_though_another_takes_all(watched, beat):
    assert PATIENCE < silence_until_the_end(watched) < 2 * PATIENCE


def test_a_worker_that_takes_tasks_is_left_alone(watched, beat, messages, monkeypatch):
    workers = watchdog._workers

    def taking(queues):
        watchdog._record_task()
        return workers(queues)

    monkeypatch.setattr(watchdog, "_workers", taking)
    with watched.ends_after(3 * PATIENCE):
        watchdog._watch(QUEUES, PATIENCE)


def test_an_idle_worker_among_many_is_left_alone_for_longer(watched, beat):
    """Each of twenty has a tick after a hundred seconds, where one comes every five."""
    for n in range(19):
        liveness.count_worker("dial", f"another machine:{n}")
    assert 10 * PATIENCE < silence_until_the_end(watched) < 11 * PATIENCE


def test_a_stuck_worker_among_many_is_ended_at_once_where_messages_wait(watched, beat, messages):
    for n in range(19):
        liveness.count_worker("dial", f"another machine:{n}")
    assert PATIENCE < silence_until_the_end(watched) < 2 * PATIENCE


def test_messages_that_are_taken_by_others_now_and_then_are_no_sign(watched, redis, monkeypatch):
    sleep = watched.sleep

    def taken_and_sent(seconds):
        sleep(seconds)
        redis.delete("dial") if watched.now % 20 == 0 else redis.rpush("dial", "a message")

    monkeypatch.setattr(watched, "sleep", taken_and_sent)
    with watched.ends_after(5 * PATIENCE):
        watchdog._watch(QUEUES, PATIENCE)


def test_without_beat_and_messages_there_is_nothing_to_take(watched):
    with watched.ends_after(3 * PATIENCE):
        watchdog._watch(QUEUES, PATIENCE)


def test_while_redis_is_away_nobody_can_take_anything(watched, monkeypatch):
    def away(*_):
        raise Away

    monkeypatch.setattr(liveness, "count_worker", away)
    with watched.ends_after(3 * PATIENCE):
        watchdog._watch(QUEUES, PATIENCE)


def test_while_the_broker_is_away_nobody_can_take_anything(watched, messages, monkeypatch):
    """From its return on the worker has its whole patience: it tries to connect every half a minute."""
    [port] = free_ports(1)
    with monkeypatch.context() as away:
        away.setattr(app.conf, "broker_read_url", f"redis://127.0.0.1:{port}/0")
        with watched.ends_after(5 * PATIENCE):
            watchdog._watch(QUEUES, PATIENCE)
    assert PATIENCE < silence_until_the_end(watched) < 2 * PATIENCE


def test_celery_connects_again_before_the_patience_of_any_worker_ends():
    """It waits for 30 s between two tries at the most, and two for the connection."""
    assert watchdog.LEAST_SILENCE_SECONDS > 30 + 2 + watchdog.CHECK_SECONDS


def test_workers_never_give_up_connecting():
    assert app.conf.broker_connection_max_retries is None
