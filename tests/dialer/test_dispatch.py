"""Dispatch: gate, leases, claim. Any number of runs at once claim each call once, and never beyond a cap."""

import random
import threading
from collections import Counter

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, CallerId, Trunk
from campaigns import lifecycle
from campaigns.models import Call
from core import task_queue
from dialer import claiming, dispatch, messages, trunk_health
from dialer.models import CallAttempt, TrunkHealth
from tests.conftest import NUMBERS, leases
from tests.factories import ACTOR

A, B = NUMBERS[:2]


@pytest.fixture
def enqueued(monkeypatch):
    """The messages that were enqueued: (task, arguments, countdown)."""
    sent = []
    for module in (messages, task_queue):
        monkeypatch.setattr(
            module, "enqueue", lambda task, *args, countdown=0, **_: sent.append((task, args, countdown))
        )
    return sent


def set_account(rig, **columns):
    Account.objects.filter(pk=rig.account.pk).update(**columns)


def start(rig, *campaigns):
    from campaigns import schedule

    schedule.start_due(timezone.now())


def test_no_more_calls_are_claimed_than_there_are_channels(rig):
    set_account(rig, channels=7)
    rig.campaign(20)
    start(rig)
    assert rig.dispatch() == 7
    assert rig.dispatch() == 0
    assert leases(rig.account) == 7


@pytest.mark.parametrize("what", ["trunk", "caller ID"])
def test_the_caps_of_trunk_and_caller_id_hold_too(rig, what):
    model, pk = (Trunk, rig.trunk.pk) if what == "trunk" else (CallerId, rig.caller_id.pk)
    model.objects.filter(pk=pk).update(channels=3)
    rig.campaign(20)
    start(rig)
    assert rig.dispatch() == 3
    assert leases(rig.account) == 3


def test_eight_dispatchers_at_once_claim_each_call_once_and_never_beyond_the_cap(rig, monkeypatch):
    """Each takes ten at a time, so that they are after the same calls. Even where no lock keeps them apart."""
    monkeypatch.setattr(dispatch, "MOST_AT_ONCE", 10)
    take = dispatch._take
    monkeypatch.setattr(dispatch, "_take", lambda account_id: (take(account_id)[0], True))
    set_account(rig, channels=350)
    rig.campaign(400)
    start(rig)
    barrier = threading.Barrier(8)

    def run():
        barrier.wait()
        try:
            for _ in range(10):
                dispatch.dispatch(rig.account.pk, timezone.now())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed = Counter(CallAttempt.objects.values_list("call_id", flat=True))
    assert len(claimed) == 350
    assert set(claimed.values()) == {1}
    assert leases(rig.account) == 350


def test_a_lease_for_which_no_call_is_left_goes_back(rig, monkeypatch):
    """Another dispatcher has taken the calls between the look and the claim."""
    rig.campaign(5)
    start(rig)
    monkeypatch.setattr(claiming, "_lock_due_calls", lambda *_: [])
    assert rig.dispatch() == 0
    assert leases(rig.account) == 0


def test_a_claim_that_fails_keeps_no_lease(rig, monkeypatch):
    rig.campaign(5)
    start(rig)

    def fail(*_):
        raise RuntimeError("the database went away")

    monkeypatch.setattr(claiming, "_lock_due_calls", fail)
    with pytest.raises(RuntimeError):
        rig.dispatch()
    assert leases(rig.account) == 0
    assert not CallAttempt.objects.exists()


def test_campaigns_of_one_account_share_its_channels(rig):
    set_account(rig, channels=10)
    large, small = rig.campaign(NUMBERS[:500]), rig.campaign(NUMBERS[500:505])
    start(rig)
    rig.dispatch()
    assert Counter(CallAttempt.objects.values_list("campaign_id", flat=True)) == {large.pk: 5, small.pk: 5}


def test_first_tries_and_retries_take_turns(rig):
    set_account(rig, channels=4)
    numbers = NUMBERS[:40]
    rig.carrier.script = {number: ["busy", "silent"] for number in numbers}
    campaign = rig.campaign(numbers, retries=1)
    rig.tick()
    rig.tick()
    rig.clock.shift(600)
    rig.dispatch()
    tries = Counter(CallAttempt.objects.filter(status="claimed").values_list("number", flat=True))
    assert tries == {1: 2, 2: 2}
    assert campaign.calls.filter(status="created").count() == 40 - 8 - 2


@pytest.mark.parametrize(("turns", "tries"), [([0, 1, 2], [1, 2]), ([2, 1, 0], [2, 1])])
def test_a_single_place_goes_to_the_kind_whose_turn_it_is_and_to_another_where_it_has_no_call(
    rig, monkeypatch, turns, tries
):
    set_account(rig, channels=1)
    rig.carrier.script = {A: ["busy", "busy"]}
    rig.campaign([A, B], retries=1)
    rig.tick()
    rig.clock.shift(600)
    monkeypatch.setattr(random, "sample", lambda *_: turns)
    for number in tries:
        assert rig.dispatch() == 1
        assert CallAttempt.objects.get(status="claimed").number == number
        rig.dial()
        rig.settle()


def test_a_call_is_not_claimed_before_its_retry_is_due(rig):
    rig.carrier.script = {A: ["busy", "completed"]}
    rig.campaign(1, retries=1)
    rig.tick()
    rig.later(minutes=9, seconds=59)
    assert rig.rings() == [A]
    rig.later(seconds=1)
    assert rig.rings() == [A, A]


def test_a_slow_pace_enqueues_a_dispatch_for_when_the_next_start_is_due(rig, enqueued):
    set_account(rig, starts_per_minute=120)
    rig.campaign(5)
    start(rig)
    assert rig.dispatch() == 1
    task, args, countdown = enqueued[-1]
    assert (task, args) == ("dialer.dispatch", (rig.account.pk,))
    assert 0 < countdown <= 0.5


def test_a_campaign_held_back_by_its_own_limit_leaves_its_turns_to_the_others(rig):
    set_account(rig, channels=10)
    slow = rig.campaign(NUMBERS[:100], mode="custom", throttle=1)
    free = rig.campaign(NUMBERS[100:200])
    start(rig)
    assert rig.dispatch() == 10
    assert Counter(CallAttempt.objects.values_list("campaign_id", flat=True)) == {slow.pk: 1, free.pk: 9}


def test_one_call_tries_a_trunk_that_has_failed_whatever_is_up_and_however_many_campaigns_wait(rig):
    numbers = NUMBERS[:40]
    rig.carrier.script = {number: ["silent"] for number in numbers} | {numbers[5]: ["unavailable", "silent"]}
    set_account(rig, channels=6)
    campaigns = [rig.campaign(numbers[:20]), rig.campaign(numbers[20:])]
    rig.tick()
    assert len(rig.rings()) == 6 or TrunkHealth.objects.exists()
    set_account(rig, channels=30)
    trunk_health.took_no_call(rig.trunk.pk, "HTTP 503", timezone.now())
    assert rig.dispatch() == 0, "it rests"
    rig.clock.shift(61)
    assert rig.dispatch() == 1
    assert rig.dispatch() == 0, "one at a time"
    rig.dial()
    assert TrunkHealth.objects.get().failures == 0
    assert rig.dispatch() > 10
    assert {attempt.campaign_id for attempt in CallAttempt.objects.all()} == {campaign.pk for campaign in campaigns}


def test_mode_custom_holds_a_campaign_to_its_own_pace(rig):
    slow = rig.campaign(NUMBERS[:5], mode="custom", throttle=1)
    free = rig.campaign(NUMBERS[5:10])
    start(rig)
    rig.dispatch()
    assert Counter(CallAttempt.objects.values_list("campaign_id", flat=True)) == {slow.pk: 1, free.pk: 5}


def test_a_paused_campaign_gets_nothing(rig):
    campaign = rig.campaign(5)
    start(rig)
    lifecycle.pause(campaign, actor=ACTOR)
    assert rig.dispatch() == 0


def test_an_inactive_account_and_an_inactive_caller_id_dial_nothing(rig):
    rig.campaign(1)
    start(rig)
    set_account(rig, is_active=False)
    assert rig.dispatch() == 0
    set_account(rig, is_active=True)
    CallerId.objects.update(is_active=False)
    assert rig.dispatch() == 0
    CallerId.objects.update(is_active=True)
    assert rig.dispatch() == 1


def test_after_a_flush_of_redis_the_cap_still_counts_the_calls_that_are_up(rig, redis):
    """The trunk's cap: unlike the account's, only the leases hold it."""
    Trunk.objects.update(channels=3)
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:10]}
    rig.campaign(10)
    start(rig)
    rig.tick()
    redis.flushdb()
    assert rig.dispatch() == 0
    assert leases(rig.account) == 3


def test_a_claim_takes_as_many_statements_for_one_call_as_for_sixty(rig):
    """From the second on there is a campaign before it that has become idle."""
    counts = []
    for numbers in (NUMBERS[:1], NUMBERS[1:2], NUMBERS[2:62]):
        rig.campaign(numbers)
        start(rig)
        set_account(rig, channels=100)
        with CaptureQueriesContext(connection) as statements:
            assert rig.dispatch() == len(numbers)
        counts.append(len(statements))
    assert counts[1] == counts[2]


def test_a_claim_takes_as_many_statements_for_two_campaigns_as_for_fifteen(rig):
    """The gate and the limits make no query of their own, for none of them."""
    counts = []
    for numbers in (NUMBERS[:1], NUMBERS[1:3], NUMBERS[3:18]):
        for number in numbers:
            rig.campaign([number], mode="custom", throttle=60)
        start(rig)
        set_account(rig, channels=100)
        with CaptureQueriesContext(connection) as statements:
            assert rig.dispatch() == len(numbers)
        counts.append(len(statements))
    assert counts[2] <= counts[1], "one less: the calls that are up are counted already"


def test_calls_wait_with_channels_to_spare_when_nothing_is_due(rig):
    campaign = rig.campaign(1)
    start(rig)
    rig.tick()
    assert rig.dispatch() == 0
    assert Call.objects.get(campaign=campaign).status == "completed"
