"""/readyz looks at the progress of beat and workers, not at their connections."""

import json
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisAway

from campaigns_project import readiness, redis_memory, server_checks
from core import clock_offsets, clocks, liveness
from core.redis_client import redis_client
from dialer import holds, redis_owner
from tests.conftest import redis_time
from tests.factories import ACTOR, CallAttemptFactory, CallerIdHealthFactory, TrunkHealthFactory


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
    assert (answer.status_code, answer.json()[who]) == (503, "not ok")
    said = readiness.parts()[who]
    assert said.startswith("no progress for ")
    assert patience < seconds(said) < patience + 60
    redis.delete(f"progress:{who}")
    assert ready().json()[who] == "not ok"
    assert readiness.parts()[who] == "no progress yet"


def test_not_ready_when_a_claimed_call_waits_for_a_dialer(ready):
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=5))
    assert ready().status_code == 200
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=11))
    answer = ready()
    assert (answer.status_code, answer.json()["dial"]) == (503, "not ok")
    said = readiness.parts()["dial"]
    assert said.startswith("a call has waited for a dialer for ")
    assert 11 <= seconds(said) < 70


def test_not_ready_without_redis(ready, monkeypatch):
    def away():
        raise RedisAway("refused")

    monkeypatch.setattr(liveness, "redis_client", away)
    monkeypatch.setattr(redis_memory, "redis_client", away)
    assert ready().status_code == 503
    assert ready().json()["redis"] == "not ok"
    assert readiness.parts()["redis"] == "Redis does not respond: start it, or correct REDIS_URL"


def test_not_ready_without_the_database(ready, monkeypatch):
    def away():
        raise RuntimeError("refused")

    monkeypatch.setattr(readiness, "_database", away)
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
    assert (answer.status_code, answer.json()["warnings"]) == (200, ["redis-memory"] if warns else [])
    if warns:
        assert "maxmemory-policy is volatile-lru" in readiness.warnings()[0].text


def test_not_ready_while_redis_is_full(ready, memory):
    memory(1, "noeviction")
    answer = ready()
    assert (answer.status_code, answer.json()["redis"]) == (503, "not ok")
    assert readiness.parts()["redis"].startswith("Redis is full, and nothing can be dialed: give it more memory")
    memory(0, "noeviction")
    assert ready().status_code == 200


def test_not_ready_while_redis_is_a_replica_that_takes_no_writes(ready, redis):
    redis.replicaof("127.0.0.1", 1)
    try:
        assert ready().json()["redis"] == "not ok"
        assert readiness.parts()["redis"].startswith("Redis is a replica that takes no writes")
    finally:
        redis.replicaof("NO", "ONE")
    assert ready().status_code == 200


@pytest.fixture
def acl_user(redis, settings):
    """Connect as a user that has these rights alone."""

    def connect(*rights: str, password: str = "right") -> None:
        redis.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">right", *rights)
        address = urlsplit(settings.REDIS_URL)
        netloc = f"limited:{password}@{address.hostname}:{address.port}"
        settings.REDIS_URL = urlunsplit(address._replace(netloc=netloc))
        redis_client.cache_clear()

    yield connect
    redis.execute_command("ACL", "DELUSER", "limited")
    redis_client.cache_clear()


@pytest.mark.parametrize(
    "rights", [("~*", "&*", "+@all", "-eval"), ("~*", "+@all"), ("~other*", "&*", "+@all"), ("~*", "&*", "+@read")]
)
def test_not_ready_at_a_redis_whose_user_may_not_run_all(ready, acl_user, rights):
    acl_user(*rights)
    assert ready().json()["redis"] == "not ok"
    said = readiness.parts()["redis"]
    assert said.startswith("the user of REDIS_URL may not run all commands that are needed")
    assert redis_memory.ACL in said


def test_the_rights_that_are_named_are_enough(ready, acl_user):
    acl_user(*redis_memory.ACL.partition("… ")[2].split())
    assert ready().json()["redis"] == "ok"


def test_a_wrong_password_of_redis_is_told_and_stops_the_start(ready, acl_user):
    acl_user("~*", "&*", "+@all", password="wrong")
    assert ready().json()["redis"] == "not ok"
    assert readiness.parts()["redis"].startswith("Redis refuses the name or password of REDIS_URL")
    [problem] = server_checks.at_start()
    assert problem.stops_start
    assert "Redis refuses the name or password" in problem.text
    assert "wrong" not in problem.text


def test_not_ready_at_a_redis_of_another_system(ready, monkeypatch):
    monkeypatch.setattr(redis_owner, "GONE_AFTER", 30)
    redis_owner.take("another/1/2")
    assert ready().status_code == 503
    assert "another Trunkline uses this Redis" in readiness.parts()["redis"]


def test_warns_while_the_server_is_held(ready):
    holds.hold(holds.Because.OPERATOR, "the disk is replaced", actor=ACTOR, now=timezone.now())
    assert (ready().status_code, ready().json()["warnings"]) == (200, ["held"])
    [told] = readiness.problems()
    assert "dials nothing: the disk is replaced. To end it: manage.py release" in told


def test_warns_where_a_pooler_drops_the_settings_of_a_connection(ready):
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
    try:
        assert ready().json()["warnings"] == ["pooler"]
        assert "ALTER ROLE trunkline SET lock_timeout" in readiness.warnings()[0].text
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@pytest.fixture
def everything_is_wrong(ready, redis):
    """Everything that could be named: a trunk, a number, a machine, a duration. Returns the names."""
    trunk, caller_id = TrunkHealthFactory(down=True).trunk, CallerIdHealthFactory(down=True).caller_id
    run = [f"+91981000{n:04d}" for n in range(settings.INSTANT_FAILURES_BEFORE_REST)]
    failing = CallerIdHealthFactory(down=True, refused_numbers=[], failing_numbers=run).caller_id
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=11))
    redis.delete("progress:load")
    noted = json.dumps([clocks.ALARMING + 1, int(redis_time(redis))])
    redis.hset(clock_offsets.key(), "dial@machine-of-the-operator", noted)
    numbers = [row.number for row in (caller_id, failing)]
    return [trunk.name, caller_id.trunk.name, failing.trunk.name, *numbers, "machine-of-the-operator"]


def test_a_stranger_reads_kinds_of_problems_and_no_names(client, everything_is_wrong, settings):
    for ways in ({}, {"headers": {"X-Forwarded-For": "192.0.2.1"}}):
        answer = client.get("/readyz", **ways)
        body = answer.json()
        assert answer.status_code == 503
        assert body.pop("status") == "not ready"
        assert body.pop("warnings") == ["caller-ids", "clocks", "trunks"]
        assert set(body.values()) == {"ok", "not ok"}
        assert {name for name, said in body.items() if said != "ok"} == {"dial", "load"}
        assert not [name for name in everything_is_wrong if name in answer.content.decode()]


def test_the_operators_command_names_them(everything_is_wrong, capsys):
    with pytest.raises(CommandError, match="not ready: dial, load"):
        call_command("ready")
    told = capsys.readouterr().out
    assert not [name for name in everything_is_wrong if name not in told]
    assert "dial: a call has waited for a dialer for 1" in told
    assert "load: no progress yet" in told
    assert "database: ok" in told


def test_the_operators_command_is_content_when_all_is_well(ready, capsys):
    call_command("ready")
    assert "warning" not in capsys.readouterr().out
