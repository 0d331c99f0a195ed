"""A batch of attempts goes to a dialer that stays for the next one, without a message; else by a message."""

import json
from typing import Any
from uuid import uuid4

import pytest

from core import staying
from dialer import dialing, messages, tasks
from tests.conftest import redis_time


@pytest.fixture
def sent(redis, monkeypatch):
    """The messages that were enqueued: (task, arguments)."""
    sent = []
    monkeypatch.setattr(messages, "enqueue", lambda task, *args, **_: sent.append((task, args)))
    return sent


def test_a_dialer_that_stays_is_handed_one_batch_and_the_next_one_is_enqueued(redis, sent):
    redis.zadd("staying:dialer.dial", {"dialer": 1000 * redis_time(redis) + 60_000})
    ids = [uuid4() for _ in range(messages.DIAL_BATCH + 1)]
    messages.enqueue_dial((pk, 7, "+919810000000") for pk in ids)
    [work] = redis.lrange("handed:dialer.dial:dialer", 0, -1)
    assert json.loads(work) == [[pk.hex for pk in ids[:-1]]]
    assert sent == [("dialer.dial", ([ids[-1].hex],))]


def test_a_dialer_dials_its_batch_and_those_that_it_is_handed(redis, monkeypatch):
    batches = [[uuid4(), uuid4()], [uuid4()]]
    came = iter([[[pk.hex for pk in batches[1]]]])
    monkeypatch.setattr(staying, "wait", lambda *_: next(came, None))
    dialed: list[Any] = []
    monkeypatch.setattr(dialing, "dial", dialed.append)
    tasks.dial([pk.hex for pk in batches[0]])
    assert dialed == batches


def test_the_inbox_is_settled_again_for_a_worker_that_is_woken_up(rig, monkeypatch):
    came = iter([list[Any]()])
    monkeypatch.setattr(staying, "wait", lambda *_: next(came, None))
    looks: list[Any] = []
    monkeypatch.setattr(messages, "settle_at_work", looks.append)
    tasks.settle()
    assert len(looks) == 2


@pytest.mark.parametrize(("workers", "stay"), [(1, 0), (2, 1), (8, 2)])
def test_one_worker_at_least_is_left_for_messages(monkeypatch, settings, workers, stay):
    settings.CONTROL_CONCURRENCY = settings.DIAL_CONCURRENCY = workers
    asked: list[Any] = []
    monkeypatch.setattr(staying, "stay", lambda task, most, *_: asked.append((task, most)))
    tasks.dial([])
    tasks.settle()
    assert asked == [("dialer.dial", stay), ("dialer.settle", min(stay, 1))]
