"""Progress is what counts: a task that was taken from a queue is noted for the kind of worker that takes it."""

from types import SimpleNamespace

import pytest
from celery.signals import after_task_publish, before_task_publish
from django.conf import settings
from redis.exceptions import ConnectionError as RedisAway

from campaigns_project.celery import app
from campaigns_project.periodic_tasks import TICKS
from core import liveness

QUEUES = [
    name for name in settings.MAX_SILENCE_SECONDS if name not in {liveness.BEAT, liveness.EVENTS, liveness.RECOVERY}
]


@pytest.fixture(autouse=True)
def nothing_noted(redis, monkeypatch):
    monkeypatch.setattr(liveness, "_noted_at", {})


def task(queue: str | None):
    return SimpleNamespace(request=SimpleNamespace(delivery_info={"routing_key": queue} if queue else None))


@pytest.mark.parametrize("queue", QUEUES)
def test_a_task_is_progress_of_the_workers_of_its_queue(queue):
    liveness._worker_notes_its_tasks(task(queue))
    noted = [process for process in settings.MAX_SILENCE_SECONDS if liveness.seconds_since(process) is not None]
    assert noted == [queue]
    assert liveness.problem(queue) == ""


@pytest.mark.parametrize("queue", [None, "somebody-elses"])
def test_a_task_of_no_queue_of_ours_is_nobodys(redis, queue):
    liveness._worker_notes_its_tasks(task(queue))
    assert not redis.keys("progress:*")


def test_a_worker_that_starts_has_made_progress():
    consumer = SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"load"}))))
    liveness._worker_notes_its_start(consumer)
    assert liveness.problem("load") == ""


def test_beat_makes_progress_with_what_the_broker_takes_from_it_and_not_with_what_it_tries_to_send():
    liveness._beat_notes_its_ticks()
    try:
        before_task_publish.send(sender="a.task")
        assert liveness.seconds_since(liveness.BEAT) is None
        after_task_publish.send(sender="a.task")
        assert liveness.problem(liveness.BEAT) == ""
    finally:
        after_task_publish.disconnect(liveness._note_tick)


def test_a_busy_worker_notes_once_a_second(redis):
    liveness.note("dial")
    redis.set("progress:dial", 1)
    liveness.note("dial")
    assert redis.get("progress:dial") == "1"


def test_a_note_that_can_not_be_made_stops_nobody(monkeypatch):
    def away():
        raise RedisAway("refused")

    monkeypatch.setattr(liveness, "redis_client", away)
    liveness.note("control")


def test_beat_has_a_tick_for_every_queue_well_within_its_patience():
    routes = settings.CELERY_TASK_ROUTES
    for queue in QUEUES:
        ticks = [
            seconds
            for _, name, seconds in TICKS
            if routes.get(name, {"queue": settings.CELERY_TASK_DEFAULT_QUEUE})["queue"] == queue
        ]
        assert min(ticks) <= settings.MAX_SILENCE_SECONDS[queue] / 5, queue


def test_every_tick_is_a_task_that_exists():
    app.loader.import_default_modules()
    assert {name for _, name, _ in TICKS} <= set(app.tasks)
