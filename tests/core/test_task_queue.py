"""Many events make one message, a lost message costs a second, and a worker that is away does not fill Redis."""

from types import SimpleNamespace

import pytest
from redis.exceptions import RedisError

from core import broker_queues, task_queue
from core.liveness import WORKER_LIFETIME, count_worker
from tests.conftest import redis_time

TASK = "dialer.settle"
A_SECOND = task_queue.WAITING_MS


@pytest.fixture(autouse=True)
def at_work(redis, monkeypatch):
    """The workers of the queue take tasks. What lasts a second lasts a minute here, however busy the machine is."""
    redis.set("progress:control", redis_time(redis))
    monkeypatch.setattr(task_queue, "WAITING_MS", 60_000)
    monkeypatch.setitem(task_queue.enqueue_once.__kwdefaults__, "waiting_ms", 60_000)


def test_events_enqueue_one_message_until_a_worker_takes_it():
    for _ in range(3):
        task_queue.enqueue_once("settle", TASK)
    assert broker_queues.waiting("control") == 1
    task_queue.taken("settle")
    task_queue.enqueue_once("settle", TASK)
    assert broker_queues.waiting("control") == 2


def test_a_message_counts_as_waiting_for_a_second(redis):
    task_queue.enqueue_once("settle", TASK)
    assert 0 < redis.pttl("enqueued:settle") <= task_queue.WAITING_MS
    assert A_SECOND == 1000


@pytest.mark.parametrize(("silent", "messages"), [(900, 1), (1100, 0)])
def test_while_no_worker_of_the_queue_is_at_work_events_add_no_message(redis, settings, silent, messages):
    assert settings.MAX_SILENCE_SECONDS["control"] == 10
    settings.MAX_SILENCE_SECONDS = settings.MAX_SILENCE_SECONDS | {"control": 1000}
    redis.set("progress:control", redis_time(redis) - silent)
    redis.set("progress:dispatch", redis_time(redis))
    task_queue.enqueue_once("settle", TASK)
    assert broker_queues.waiting("control") == messages
    task_queue.enqueue_once("dispatch:1", "dialer.dispatch", 1)
    assert broker_queues.waiting("dispatch") == 1


def test_before_any_worker_has_started_messages_wait_for_the_first_one(redis):
    redis.delete("progress:control")
    task_queue.enqueue_once("settle", TASK)
    assert broker_queues.waiting("control") == 1


def test_workers_are_counted_while_they_tell_of_themselves(redis):
    assert [count_worker("dial", name) for name in ("a", "b", "a")] == [1, 2, 2]
    redis.zadd("workers:dial", {"a": redis_time(redis) - WORKER_LIFETIME - 1})
    assert count_worker("dial", "b") == 1


# While a worker is at work -------------------------------------------------------------------------------------------


def event():
    task_queue.enqueue_once("settle", TASK)


def never():
    raise AssertionError("there is nothing left to look for")


def test_what_comes_while_a_worker_is_at_work_is_looked_for_once_more_and_adds_no_message():
    looks = []

    def look():
        looks.append(broker_queues.waiting("control"))
        if len(looks) == 1:
            event()
            event()

    task_queue.at_work("settle", look, enqueue_again=never)
    assert looks == [0, 0]
    event()
    assert broker_queues.waiting("control") == 1, "nobody is at work any more"


def test_what_comes_again_and_again_waits_behind_the_other_tasks():
    looks = []

    def look():
        looks.append(1)
        event()

    task_queue.at_work("settle", look, enqueue_again=event)
    assert len(looks) == task_queue.LOOKS_IN_A_ROW
    assert broker_queues.waiting("control") == 1


def test_a_worker_that_dies_at_work_holds_up_messages_for_a_second(redis):
    left = []

    def look():
        left.append(redis.pttl("enqueued:settle"))
        if len(left) == 1:
            event()
            left.append(redis.pttl("enqueued:settle"))

    task_queue.at_work("settle", look, enqueue_again=never)
    assert all(0 < each <= task_queue.WAITING_MS for each in left)


def test_a_worker_that_is_at_work_for_longer_looks_again_for_what_its_key_has_forgotten(redis):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 1:
            event()
            redis.delete("enqueued:settle")

    task_queue.at_work("settle", look, enqueue_again=never)
    assert len(looks) == 2


def test_a_look_that_fails_holds_up_no_message():
    def look():
        event()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        task_queue.at_work("settle", look, enqueue_again=never)
    event()
    assert broker_queues.waiting("control") == 1


def test_of_two_workers_at_work_the_one_that_began_later_sees_what_came_before_it():
    looks = []

    def first():
        looks.append("first")
        event()
        task_queue.at_work("settle", lambda: looks.append("second"), enqueue_again=never)
        assert broker_queues.waiting("control") == 0
        event()

    task_queue.at_work("settle", first, enqueue_again=never)
    assert looks == ["first", "second"]
    assert broker_queues.waiting("control") == 1, "an event after the second one's end has a message"


def test_a_worker_goes_on_for_its_time_while_events_come_again_and_again(monkeypatch):
    looks, moments = [], [0.0]

    def look():
        looks.append(1)
        event()
        if len(looks) == 2 * task_queue.LOOKS_IN_A_ROW:
            moments.append(60.0)

    monkeypatch.setattr(task_queue, "time", SimpleNamespace(monotonic=lambda: moments[-1]))
    task_queue.at_work("settle", look, enqueue_again=event, seconds=60)
    assert len(looks) == 2 * task_queue.LOOKS_IN_A_ROW
    assert broker_queues.waiting("control") == 1, "then it leaves the rest to a message"


# While a worker stays ------------------------------------------------------------------------------------------------


@pytest.fixture
def handed(redis):
    """A worker stays for the task; returns what it was handed."""
    redis.zadd(f"staying:{TASK}", {"worker": 1000 * redis_time(redis) + 60_000})
    return lambda: redis.lrange(f"handed:{TASK}:worker", 0, -1)


def test_events_wake_up_a_worker_that_stays_and_add_no_message(handed, redis):
    event()
    event()
    assert handed() == ["[]"]
    assert broker_queues.waiting("control") == 0
    assert redis.get("enqueued:settle") == "look again", "the second one came before it has begun"


def test_a_worker_that_dies_as_it_is_woken_up_holds_up_messages_for_a_second(handed, redis):
    event()
    assert 0 < redis.pttl("enqueued:settle") <= task_queue.WAITING_MS
    redis.zadd(f"staying:{TASK}", {"another": 1000 * redis_time(redis) + 60_000})
    task_queue.enqueue_once("settle-beside", TASK, waiting_ms=30_000)
    assert 0 < redis.pttl("enqueued:settle-beside") <= 30_000


def test_a_worker_that_stays_is_handed_the_arguments_of_the_task(redis):
    redis.zadd("staying:dialer.dispatch", {"worker": 1000 * redis_time(redis) + 60_000})
    task_queue.enqueue_once("dispatch:7", "dialer.dispatch", 7)
    assert redis.lrange("handed:dialer.dispatch:worker", 0, -1) == ["[7]"]


def test_what_is_to_be_done_later_wakes_up_nobody(handed):
    task_queue.enqueue_once("pace:1", TASK, countdown=0.5)
    assert handed() == []
    assert broker_queues.waiting("control") == 1


def test_work_in_place_of_a_worker_is_not_handed_to_one(handed):
    looks = []
    task_queue.at_work_at_once("settle", TASK, lambda: looks.append(1), enqueue_again=never)
    assert (looks, handed()) == ([1], [])


def test_while_no_worker_of_the_queue_is_at_work_none_is_woken_up(handed, redis):
    redis.set("progress:control", redis_time(redis) - 11)
    event()
    assert handed() == []


def test_without_redis_a_worker_looks_all_the_same(monkeypatch):
    def away():
        raise RedisError

    monkeypatch.setattr(task_queue, "redis_client", away)
    looks = []
    task_queue.at_work("settle", lambda: looks.append(1), enqueue_again=never)
    assert looks == [1]
