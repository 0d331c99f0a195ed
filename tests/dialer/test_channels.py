"""Channels are leases with a name on them: checked and taken in one step, over every scope together."""

import threading
from collections import Counter
from uuid import UUID, uuid4

import pytest
import time_machine
from uuid_utils.compat import uuid7

from dialer import channels, reconciliation
from dialer.channels import NO_CAP, Bucket, LeaseRequest, LeasesLost, Scope
from tests.factories import CallAttemptFactory

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNT, TRUNK = Scope("account", 1, 2), Scope("trunk", 1, NO_CAP)


@pytest.fixture(autouse=True)
def complete(redis, transactional_db):
    reconciliation.rebuild()


def request(*scopes: Scope, buckets: tuple[Bucket, ...] = ()) -> LeaseRequest:
    return LeaseRequest(uuid4(), scopes or (ACCOUNT, TRUNK), buckets)


def lease(*requests: LeaseRequest) -> frozenset[UUID]:
    return channels.lease(list(requests)).holders


def held(redis, scope: Scope) -> set[str]:
    return set(redis.zrange(scope.key, 0, -1))


def test_no_more_leases_than_the_cap(redis):
    requests = [request() for _ in range(5)]
    assert lease(*requests) == {requests[0].holder, requests[1].holder}
    assert lease(request()) == frozenset()


def test_the_tightest_scope_decides_and_a_refused_request_holds_nothing(redis):
    trunk = Scope("trunk", 9, 1)
    first, second = request(ACCOUNT, trunk), request(ACCOUNT, trunk)
    assert lease(first, second) == {first.holder}
    assert held(redis, ACCOUNT) == held(redis, trunk) == {first.holder.hex}


def test_a_release_frees_that_holder_and_no_other(redis):
    first, second = request(), request()
    lease(first, second)
    channels.release([(first.holder, [ACCOUNT.key, TRUNK.key])])
    channels.release([(first.holder, [ACCOUNT.key, TRUNK.key])])
    assert held(redis, ACCOUNT) == held(redis, TRUNK) == {second.holder.hex}
    assert len(lease(request(), request())) == 1


def test_a_lease_expires_when_nobody_gives_it_up(redis):
    lease(request(), request())
    for holder in held(redis, ACCOUNT):
        redis.zadd(ACCOUNT.key, {holder: 1})
    assert len(lease(request())) == 1


def test_two_threads_race_for_the_last_channel_and_one_gets_it(redis):
    one = Scope("account", 2, 1)
    for _ in range(50):
        redis.delete(one.key)
        barrier = threading.Barrier(2)
        won: list[int] = []

        def race(barrier=barrier, won=won):
            mine = request(one)
            barrier.wait()
            won.append(len(lease(mine)))

        threads = [threading.Thread(target=race) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [0, 1]


def test_nothing_is_leased_after_a_flush_until_the_leases_are_rebuilt(redis):
    redis.flushdb()
    with pytest.raises(LeasesLost):
        lease(request())
    reconciliation.rebuild()
    assert len(lease(request())) == 1


def test_nothing_is_leased_after_a_restart_with_old_data_until_the_leases_are_rebuilt(redis):
    redis.script_flush()  # what a restart or a fail-over does too: scripts are no data
    with pytest.raises(LeasesLost):
        lease(request())
    reconciliation.rebuild()
    assert len(lease(request())) == 1


@pytest.mark.parametrize("repair", [reconciliation.rebuild, reconciliation.reconcile])
@pytest.mark.parametrize("forget", ["flushdb", "script_flush"])
def test_whatever_runs_first_rebuilds_what_redis_forgot(redis, forget, repair):
    getattr(redis, forget)()
    repair()
    assert len(lease(request())) == 1


@pytest.mark.parametrize("compare", [reconciliation.rebuild, reconciliation.reconcile])
def test_a_lease_with_half_its_time_left_is_renewed_and_a_young_one_is_not(redis, compare):
    """By the clock of Redis alone: the attempt's id may come from a clock that is wrong."""
    attempts = old, young = [CallAttemptFactory(id=uuid7()) for _ in range(2)]
    reconciliation.reconcile()
    full = redis.time()[0] * 1000 + channels.ttl_ms()
    soon, later = full - channels.ttl_ms() // 2 - 5000, full - channels.ttl_ms() // 2 + 60_000
    keys = {
        attempt: [key for key in redis.keys(f"{channels.PREFIX}*") if redis.zscore(key, attempt.pk.hex)]
        for attempt in attempts
    }
    for attempt, expires in ((old, soon), (young, later)):
        for key in keys[attempt]:
            redis.zadd(key, {attempt.pk.hex: expires})
    compare()
    assert all(redis.zscore(key, old.pk.hex) >= full for key in keys[old])
    assert [redis.zscore(key, young.pk.hex) for key in keys[young]] == [later] * 3


def test_starts_are_paced_one_by_one(redis):
    bucket = Bucket("account", 1, 60)
    many = Scope("account", 3, 100)
    granted = channels.lease([request(many, buckets=(bucket,)) for _ in range(5)])
    assert len(granted.holders) == 1
    assert granted.wait_seconds == pytest.approx(1, abs=0.1)


def test_a_refused_start_takes_no_channel_and_a_refused_channel_no_start(redis):
    bucket = Bucket("account", 1, 60)
    full, free = Scope("account", 4, 0), Scope("account", 5, 10)
    assert lease(request(full, buckets=(bucket,)), request(free, buckets=(bucket,)), request(free, buckets=(bucket,)))
    assert redis.zcard(free.key) == 1


@pytest.mark.parametrize("per_minute", [1, 7, 60, 599, 600, 6000, 100_000])
def test_no_minute_holds_more_starts_than_the_bucket_allows(per_minute):
    """The bucket by its own arithmetic: a burst, then one start per interval, counted over one half-open minute."""
    bucket = Bucket("account", 1, per_minute)
    later_starts = (60_000_000 - 1) // bucket.interval_us
    assert bucket.burst + later_starts <= per_minute
    assert bucket.burst + later_starts >= per_minute * 0.99


def test_the_bucket_keeps_its_pace_whatever_is_asked_of_it(redis):
    bucket, many = Bucket("account", 6, 6000), Scope("account", 6, NO_CAP)
    moments: Counter[int] = Counter()
    with time_machine.travel(0, tick=True):  # our own clock is of no account: Redis's is
        for _ in range(200):
            moments[redis.time()[0]] += len(lease(*[request(many, buckets=(bucket,)) for _ in range(20)]))
    elapsed = max(moments) - min(moments) + 1
    assert sum(moments.values()) <= bucket.burst + elapsed * 101
