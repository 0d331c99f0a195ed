"""Many events make one message, a lost message costs a second, and a worker that is away does not fill Redis."""

import pytest

from core import broker_queues, task_queue
from core.liveness import WORKER_LIFETIME, count_worker
from tests.conftest import redis_time

TASK = "dialer.settle"


@pytest.fixture(autouse=True)
def at_work(redis):
    """The workers of the queue take tasks."""
    redis.set("progress:control", redis_time(redis))


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


@pytest.mark.parametrize(("silent", "messages"), [(9, 1), (11, 0)])
def test_while_no_worker_of_the_queue_is_at_work_events_add_no_message(redis, silent, messages):
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
