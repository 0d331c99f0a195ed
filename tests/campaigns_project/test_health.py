"""/readyz looks at the progress of beat and workers, not at their connections."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisAway

from campaigns_project import health, redis_memory
from core import liveness
from tests.conftest import redis_time
from tests.factories import CallAttemptFactory


@pytest.fixture
def ready(redis, transactional_db, client):
    for who in settings.MAX_SILENCE_SECONDS:
        redis.set(f"progress:{who}", redis_time(redis))
    return lambda: client.get("/readyz")


def seconds(problem):
    """Return the seconds that a problem names."""
    return int(problem.removesuffix(" s").rpartition(" ")[2])


# The clocks of Redis and PostgreSQL can't be stopped, so the times below leave a busy machine some seconds.


def test_up_is_not_ready(client):
    assert client.get("/healthz").status_code == 200


def test_ready(ready):
    assert ready().status_code == 200


@pytest.mark.parametrize(("who", "patience"), settings.MAX_SILENCE_SECONDS.items())
def test_not_ready_when_one_has_made_no_progress_lately(ready, redis, who, patience):
    redis.set(f"progress:{who}", redis_time(redis) - patience / 2)
    assert ready().status_code == 200
    redis.set(f"progress:{who}", redis_time(redis) - patience - 1)
    answer = ready()
    assert answer.status_code == 503
    assert answer.json()[who].startswith("no progress for ")
    assert patience < seconds(answer.json()[who]) < patience + 60
    redis.delete(f"progress:{who}")
    assert ready().json()[who] == "no progress yet"


def test_not_ready_when_a_claimed_call_waits_for_a_dialer(ready):
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=5))
    assert ready().status_code == 200
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=11))
    answer = ready()
    assert answer.status_code == 503
    assert answer.json()["dial"].startswith("a call has waited for a dialer for ")
    assert 11 <= seconds(answer.json()["dial"]) < 70


def test_not_ready_without_redis(ready, monkeypatch):
    def away():
        raise RedisAway("refused")

    monkeypatch.setattr(health, "redis_client", away)
    monkeypatch.setattr(liveness, "redis_client", away)
    monkeypatch.setattr(redis_memory, "redis_client", away)
    assert ready().status_code == 503
    assert ready().json()["redis"] == "ConnectionError"


def test_not_ready_without_the_database(ready, monkeypatch):
    def away():
        raise RuntimeError("refused")

    monkeypatch.setattr(health, "_database", away)
    assert ready().status_code == 503


@pytest.fixture
def memory(redis):
    """Set the limit of the memory of Redis, and its policy when that is reached."""
    yield lambda most, policy: redis.config_set("maxmemory", most) and redis.config_set("maxmemory-policy", policy)
    redis.config_set("maxmemory", 0)
    redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("most", "policy", "warns"),
    [("0", "allkeys-lru", False), ("1gb", "noeviction", False), ("1gb", "volatile-lru", True)],
)
def test_warns_when_redis_may_evict_leases(ready, memory, most, policy, warns):
    memory(most, policy)
    answer = ready()
    assert (answer.status_code, len(answer.json()["warnings"])) == (200, warns)
    if warns:
        assert "maxmemory-policy is volatile-lru" in answer.json()["warnings"][0]
