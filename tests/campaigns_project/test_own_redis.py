"""A worker or beat does not start at a Redis that another system uses."""

import time

import pytest
from django.db import connection
from redis.exceptions import ConnectionError as RedisAway

from campaigns_project import own_redis
from core.redis_client import redis_client
from dialer import redis_owner

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(redis_owner, "GONE_AFTER", 30)
    monkeypatch.setattr(own_redis, "LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(connection, "close", lambda: None)  # the test's own


def test_the_first_system_starts_and_has_it():
    own_redis.require()
    own_redis.require()
    with pytest.raises(redis_owner.OwnedByAnother):
        redis_owner.take("another/1/2")


def test_another_system_ends_with_a_sentence(monkeypatch):
    redis_owner.take("another/1/2")
    monkeypatch.setattr(own_redis, "SPARE_SECONDS", -redis_owner.GONE_AFTER - 1)
    with pytest.raises(SystemExit, match=r"another Trunkline uses this Redis.*REDIS_PREFIX"):
        own_redis.require()


def test_it_waits_for_a_place_that_becomes_free(monkeypatch):
    redis_owner.take("another/1/2")
    monkeypatch.setattr(time, "sleep", lambda _: redis_client().delete("installation"))
    own_redis.require()


def test_a_worker_waits_at_a_full_redis_and_says_so_once(redis, caplog, monkeypatch):
    waits: list[None] = []

    def wait(_):
        waits.append(None)
        if len(waits) == 3:
            redis.config_set("maxmemory", 0)

    monkeypatch.setattr(time, "sleep", wait)
    redis.config_set("maxmemory", 1)
    try:
        own_redis.require()
    finally:
        redis.config_set("maxmemory", 0)
    assert len(waits) == 3
    assert caplog.text.count("Redis is full") == 1


def test_a_redis_that_is_away_keeps_no_worker_from_starting(monkeypatch):
    def away(_):
        raise RedisAway("refused")

    monkeypatch.setattr(redis_owner, "take", away)
    own_redis.require()
