"""A worker that stays is handed the next work; where none does, or it has gone, a message is needed."""

from threading import Thread
from time import sleep
from types import SimpleNamespace

import pytest
from redis.exceptions import RedisError

from core import staying
from tests.conftest import redis_time

pytestmark = pytest.mark.usefixtures("redis")

# Less than the time-out of the client.
LONG = 4.0
TASK = "dialer.dial"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Workers wait until they are handed something: no test depends on how fast the machine is."""
    monkeypatch.setattr(staying, "IDLE_SECONDS", LONG)
    monkeypatch.setattr(staying, "GRACE_MS", 60_000)


def hand(work="work"):
    return staying.hand(TASK, work)


@pytest.fixture
def workers(redis):
    """Two workers wait, the first one for longer; returns what each was handed."""
    now = 1000 * redis_time(redis)
    redis.zadd(f"staying:{TASK}", {"first": now + 60_000, "second": now + 61_000})
    return lambda: [redis.lrange(f"handed:{TASK}:{worker}", 0, -1) for worker in ("first", "second")]


def test_where_nobody_stays_nothing_is_handed():
    assert not hand()


def test_a_worker_that_stays_is_handed_the_next_work(redis, monkeypatch):
    wait = type(redis).blpop

    def wait_on(*args, **options):
        """Wait again and again: the client would not wait for a minute."""
        return next(filter(None, (wait(*args, **options) for _ in range(15))), None)

    monkeypatch.setattr(type(redis), "blpop", wait_on)
    got = []
    thread = Thread(target=lambda: got.append(staying.wait(TASK, 2, LONG)), daemon=True)
    thread.start()
    while thread.is_alive() and not redis.zcard(f"staying:{TASK}"):
        sleep(0.001)
    assert hand("one")
    thread.join()
    assert got == [["one"]]
    assert not hand("two"), "it has work now"


def test_each_work_goes_to_one_worker_first_to_the_one_that_came_last(workers):
    assert [hand("one"), hand("two"), hand("three")] == [True, True, False]
    assert workers() == [['["two"]'], ['["one"]']]


def test_no_more_workers_stay_than_may(workers, redis, monkeypatch):
    def wait(*_args, **_options):
        raise AssertionError("a third worker waits")

    monkeypatch.setattr(type(redis), "blpop", wait)
    assert staying.wait(TASK, 2, LONG) is None
    assert redis.zcard(f"staying:{TASK}") == 2


@pytest.mark.parametrize(("most", "seconds"), [(2, 0), (2, 0.0004), (0, LONG)])
def test_a_worker_whose_time_is_as_good_as_over_or_that_may_not_stay_goes(redis, monkeypatch, most, seconds):
    """Some versions of Redis would let it wait for ever for less than a millisecond."""
    monkeypatch.setattr(type(redis), "blpop", lambda *_args, **_options: pytest.fail("it waits"))
    assert staying.wait(TASK, most, seconds) is None
    assert not hand()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_worker_that_can_not_wait_on_is_handed_nothing_and_does_what_it_was_handed(redis, monkeypatch, is_late):
    def fail(*_args, **_options):
        assert not is_late or hand("late")
        raise RedisError

    monkeypatch.setattr(type(redis), "blpop", fail)
    assert staying.wait(TASK, 2, LONG) == (["late"] if is_late else None)
    assert not hand()


def test_a_worker_that_was_handed_nothing_goes(redis, monkeypatch):
    monkeypatch.setattr(staying, "IDLE_SECONDS", 0.01)
    assert staying.wait(TASK, 2, LONG) is None
    assert not hand()


def test_what_is_handed_at_the_last_moment_is_done(redis, monkeypatch):
    monkeypatch.setattr(staying, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(type(redis), "blpop", lambda *_args, **_options: hand("late") and None)
    assert staying.wait(TASK, 2, LONG) == ["late"]


def test_a_worker_that_has_died_is_handed_nothing(redis):
    redis.zadd(f"staying:{TASK}", {"dead": 1000 * redis_time(redis) - 1})
    assert not hand()


def test_what_was_handed_to_a_worker_that_died_is_not_kept_for_ever(redis):
    redis.zadd(f"staying:{TASK}", {"dies": 1000 * redis_time(redis) + 60_000})
    assert hand()
    assert 0 < redis.pttl(f"handed:{TASK}:dies") <= staying.KEPT_MS


def test_without_redis_there_is_nobody_and_nothing_to_wait_for(monkeypatch):
    def away():
        raise RedisError

    monkeypatch.setattr(staying, "redis_client", away)
    assert not hand()
    assert staying.wait(TASK, 2, LONG) is None


# A task that stays ---------------------------------------------------------------------------------------------------


def test_a_task_does_its_own_work_and_what_is_handed_to_it_while_its_time_lasts(monkeypatch):
    came, waits, done, now = iter([[2, 3], [4], [5]]), [], [], [0.0]

    def wait(task, most, seconds):
        waits.append((task, most, seconds))
        return next(came) if seconds > 0 else None

    def work(*numbers):
        done.append(numbers)
        now.append(now[-1] + staying.SECONDS / 2)

    monkeypatch.setattr(staying, "wait", wait)
    monkeypatch.setattr(staying, "time", SimpleNamespace(monotonic=lambda: now[-1]))
    staying.stay(TASK, 2, work, 1)
    assert done == [(1,), (2, 3)]
    assert waits == [(TASK, 2, staying.SECONDS / 2), (TASK, 2, 0)]


def test_a_task_to_which_nothing_is_handed_ends(monkeypatch):
    monkeypatch.setattr(staying, "wait", lambda *_: None)
    done: list[int] = []
    staying.stay(TASK, 2, done.append, 1)
    assert done == [1]


def test_a_task_whose_work_took_long_does_not_stay(redis, monkeypatch):
    monkeypatch.setattr(staying, "SECONDS", 0.0)
    redis.zadd(f"staying:{TASK}", {"another": 1000 * redis_time(redis) + 60_000})
    done: list[int] = []
    staying.stay(TASK, 2, done.append, 1)
    assert done == [1]
    assert redis.zcard(f"staying:{TASK}") == 1


def test_a_task_that_fails_does_not_stay(redis):
    with pytest.raises(ZeroDivisionError):
        staying.stay(TASK, 2, lambda: 1 / 0)
    assert not hand()
