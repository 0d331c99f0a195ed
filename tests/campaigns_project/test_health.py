"""/readyz tells the truth: it is the progress of beat and workers that counts, not that they are connected."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisAway

from campaigns_project import health, liveness
from tests.factories import CallAttemptFactory


@pytest.fixture
def ready(redis, transactional_db, client):
    redis.set("progress:beat", time.time())
    redis.set("progress:worker", time.time())
    return lambda: client.get("/readyz")


def test_up_is_not_ready(client):
    assert client.get("/healthz").status_code == 200


def test_ready(ready):
    assert ready().status_code == 200


@pytest.mark.parametrize("who", ["beat", "worker"])
def test_not_ready_when_one_has_made_no_progress_lately(ready, redis, who):
    redis.set(f"progress:{who}", time.time() - 11)
    assert (ready().status_code, ready().json()[who]) == (503, "no progress for 11 s")
    redis.delete(f"progress:{who}")
    assert ready().json()[who] == "no progress yet"


def test_not_ready_when_a_claimed_call_waits_for_a_dialer(ready):
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=9))
    assert ready().status_code == 200
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=11))
    assert (ready().status_code, ready().json()["dialer"]) == (503, "a call has waited for a dialer for 11 s")


def test_not_ready_without_redis(ready, monkeypatch):
    def away():
        raise RedisAway("refused")

    monkeypatch.setattr(health, "redis_client", away)
    monkeypatch.setattr(liveness, "redis_client", away)
    assert ready().status_code == 503
    assert ready().json()["redis"] == "ConnectionError"


def test_not_ready_without_the_database(ready, monkeypatch):
    def away():
        raise RuntimeError("refused")

    monkeypatch.setattr(health, "_database", away)
    assert ready().status_code == 503
