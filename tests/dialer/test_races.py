"""What only shows when two things happen at once: real threads, real transactions."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from campaigns import campaign_lock, lifecycle, schedule
from campaigns.models import Campaign, Outcome
from dialer import channels, claiming, dispatch, outcomes, reconciliation, recovery, rests
from dialer.attempt_ends import Ended
from dialer.carriers.base import Event
from dialer.models import CallAttempt, TrunkHealth
from tests.at_once import in_thread, waits
from tests.conftest import NUMBERS, leases
from tests.factories import ACTOR, TrunkHealthFactory

A_WHILE = 0.3  # seconds that a batch is at work


def pause_now(campaign):
    lifecycle.pause(campaign, actor=ACTOR)


@pytest.mark.parametrize("compare", [reconciliation.rebuild, reconciliation.reconcile])
def test_a_lease_whose_attempt_is_not_committed_yet_is_not_taken_for_a_leak(rig, monkeypatch, compare):
    rig.campaign(1)
    schedule.start_due(timezone.now())
    leased, go_on = threading.Event(), threading.Event()
    claim = claiming.claim

    def slow_claim(*args):
        leased.set()
        go_on.wait(60)
        return claim(*args)

    monkeypatch.setattr(claiming, "claim", slow_claim)
    dispatcher = in_thread(dispatch.dispatch, rig.account.pk, timezone.now())
    try:
        assert leased.wait(60)
        sweep = in_thread(compare)
        assert waits(sweep), "for the claim"
    finally:
        go_on.set()
        dispatcher.join(60)
    sweep.join(60)
    assert CallAttempt.objects.count() == leases(rig.account) == 1


def silent_call(rig):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    rig.campaign(1)
    rig.tick()
    return CallAttempt.objects.get()


def sweep_while_somebody_leases():
    with transaction.atomic():
        channels.hold_shared()
        assert not waits(in_thread(reconciliation.reconcile))


def test_a_sweep_with_nothing_to_correct_waits_for_no_dispatch(rig):
    silent_call(rig)
    sweep_while_somebody_leases()
    assert leases(rig.account) == 1


def test_an_attempt_that_ends_between_two_looks_of_a_sweep_is_no_discrepancy(rig, monkeypatch):
    attempt = silent_call(rig)
    look = reconciliation._leases_in_flight

    def look_after_its_end(among=None):
        if among is None:
            outcomes.end([Ended(attempt.pk, Outcome.BUSY)], timezone.now())
        return look(among)

    monkeypatch.setattr(reconciliation, "_leases_in_flight", look_after_its_end)
    sweep_while_somebody_leases()
    assert leases(rig.account) == 0


def test_a_sweep_that_can_not_lock_the_leases_repairs_the_calls_all_the_same(rig, redis):
    attempt = silent_call(rig)
    CallAttempt.objects.update(status="claimed", placing_at=None, claimed_at=timezone.now() - timedelta(seconds=60))
    redis.zadd(f"channels:held:account:{rig.account.pk}", {"0" * 32: 9e15})
    repaired = []
    with transaction.atomic():
        channels.hold_shared()
        sweep = in_thread(lambda: repaired.append(recovery.recover(timezone.now())))
        sweep.join(60)
    assert [(repairs.leaked, repairs.messages_resent) for repairs in repaired] == [(0, 1)], attempt


def test_of_two_batches_with_the_last_two_calls_one_closes_the_campaign(rig, monkeypatch):
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:2]}
    rig.campaign(2)
    rig.tick()
    both = threading.Barrier(2)
    close = schedule.close_if_finished

    def meet():
        with suppress(threading.BrokenBarrierError):
            both.wait(60)

    def meet_and_close(*args):
        """Both have come here before one asks, and both have asked before one commits, if it has not yet."""
        meet()
        close(*args)
        meet()

    monkeypatch.setattr(schedule, "close_if_finished", meet_and_close)
    threads = [
        in_thread(outcomes.end, [Ended(attempt_id, Outcome.BUSY)], timezone.now())
        for attempt_id in CallAttempt.objects.values_list("id", flat=True)
    ]
    for thread in threads:
        thread.join(60)
    assert Campaign.objects.get().status == "completed"


def silent_calls(rig, calls):
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:calls]}
    campaign = rig.campaign(calls)
    rig.tick()
    return campaign, list(CallAttempt.objects.values_list("id", flat=True))


def test_the_batches_of_a_campaign_do_not_wait_for_each_other(rig):
    _, [first, second] = silent_calls(rig, 2)
    with transaction.atomic():
        outcomes.end([Ended(first, Outcome.BUSY)], timezone.now())
        assert not waits(in_thread(outcomes.end, [Ended(second, Outcome.BUSY)], timezone.now()))


def test_a_pause_waits_for_the_batch_that_is_at_work(rig):
    campaign, [attempt] = silent_calls(rig, 1)
    with transaction.atomic():
        outcomes.settle([(attempt, Event(status="in-progress"))], timezone.now())
        pause = in_thread(pause_now, campaign)
        assert waits(pause)
    pause.join(60)
    campaign.refresh_from_db()
    assert campaign.status == "paused"


def test_a_busy_campaign_can_be_paused(rig):
    """One batch or another is always at work: they let the pause pass, and do not keep it waiting for ever."""
    campaign, _ = silent_calls(rig, 1)
    over = threading.Event()

    def batches(after):
        over.wait(after)
        while not over.is_set():
            with transaction.atomic():
                campaign_lock.hold_shared("SELECT %s::uuid", campaign.pk)
                over.wait(A_WHILE)

    threads = [in_thread(batches, A_WHILE * part / 5) for part in range(5)]
    over.wait(A_WHILE)
    pause = in_thread(pause_now, campaign)
    pause.join(60)
    passed = not pause.is_alive()
    over.set()
    for thread in (*threads, pause):
        thread.join(60)
    assert passed


def test_a_trunk_that_another_dispatch_is_trying_is_not_waited_for(rig):
    """Two that each wait for the trunk that the other has locked would both fail."""
    TrunkHealthFactory(trunk=rig.trunk, failures=1, down_since=timezone.now())
    own = TrunkHealth.objects.filter(trunk=rig.trunk)
    tried: list[bool] = []

    def try_it():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '1s'")
            tried.append(rests.may_try(own.all(), timezone.now()))

    with transaction.atomic():
        own.select_for_update().get()
        in_thread(try_it).join(60)
    assert tried == [False]
    for may in (True, False):  # and then the next one has to wait
        in_thread(try_it).join(60)
        assert tried.pop() is may
