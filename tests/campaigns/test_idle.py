"""Until when a campaign has nothing to dial: never later than its next call is due, whatever happens at once."""

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from campaigns import campaign_lock, idle, lifecycle, schedule
from campaigns.models import Call, Campaign
from dialer import dispatch, outcomes
from dialer.attempt_ends import Ended
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.factories import ACTOR

A, B = NUMBERS[:2]


def idle_until(campaign):
    return Campaign.objects.values_list("idle_until", flat=True).get(pk=campaign.pk)


@pytest.fixture
def busy(rig):
    """A campaign whose only call is up: there is nothing to dial until it ends."""
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign([A], retries=1)
    rig.tick()
    rig.dispatch()
    return campaign


def test_a_campaign_with_all_its_calls_up_is_idle_and_is_looked_at_again_all_the_same(busy, rig):
    assert idle_until(busy) == timezone.now() + idle.LONGEST
    rig.clock.shift(idle.LONGEST)
    Call.objects.filter(campaign=busy).update(status="created")  # as only a fault of this program would
    CallAttempt.objects.update(status="canceled", ended_at=timezone.now())
    assert rig.dispatch() == 1


def test_a_campaign_that_waits_for_retries_is_idle_until_the_first_of_them(rig):
    rig.carrier.script = {A: ["busy", "completed"]}
    campaign = rig.campaign([A], retries=1)
    rig.tick()
    rig.dispatch()
    assert idle_until(campaign) == Call.objects.get().next_attempt_at


def test_an_outcome_ends_the_idleness_of_its_campaign_at_the_moment_of_the_retry(busy, rig):
    outcomes.end([Ended(CallAttempt.objects.get().pk, "busy", reason="test")], timezone.now())
    due_at = Call.objects.get().next_attempt_at
    assert due_at is not None
    assert idle_until(busy) == min(due_at, timezone.now() + idle.LONGEST)


def test_a_call_that_is_given_back_ends_it_at_once(rig):
    campaign = rig.campaign([A])
    schedule.start_due(timezone.now())
    for _ in range(2):
        assert rig.dispatch() == 1
        dispatch.dispatch(rig.account.pk, timezone.now())
        assert idle_until(campaign) is not None
        claimed = CallAttempt.objects.get(status="claimed")
        outcomes.end([Ended(claimed.pk, "canceled", reason="test")], timezone.now())
        assert idle_until(campaign) is None


def test_a_resume_ends_it(busy):
    lifecycle.pause(busy, actor=ACTOR)
    lifecycle.resume(busy, actor=ACTOR)
    assert idle_until(busy) is None


def test_a_campaign_that_a_batch_is_at_work_on_is_left_as_it_is(busy):
    """The batch may be about to commit a retry that is due sooner."""
    Campaign.objects.update(idle_until=None)
    held, done = threading.Event(), threading.Event()

    def batch():
        try:
            with transaction.atomic():
                campaign_lock.hold_shared("SELECT %s::uuid", busy.pk)
                held.set()
                done.wait(60)
        finally:
            connections.close_all()

    thread = threading.Thread(target=batch)
    thread.start()
    assert held.wait(60)
    idle.settle_down([busy.pk], timezone.now(), passed_over=None)
    assert idle_until(busy) is None
    done.set()
    thread.join()
    idle.settle_down([busy.pk], timezone.now(), passed_over=None)
    assert idle_until(busy) is not None


def test_what_was_committed_since_the_look_is_seen(rig):
    """A look found nothing due, then a retry became due, and then the look's result is kept."""
    campaign = rig.campaign([A, B])
    rig.tick()
    due_at = timezone.now() + timedelta(minutes=1)
    Call.objects.filter(number=A).update(status="retrying", next_attempt_at=due_at, ended_at=None)
    Campaign.objects.filter(pk=campaign.pk).update(status="in-progress", ended_at=None)
    idle.settle_down([campaign.pk], timezone.now(), passed_over=None)
    assert idle_until(campaign) == due_at
    rig.clock.shift(timedelta(minutes=1))
    idle.settle_down([campaign.pk], timezone.now(), passed_over=None)
    assert idle_until(campaign) is None, "it is due"


def test_a_call_that_is_due_changes_no_campaign_that_is_not_idle(rig):
    campaign = rig.campaign([A, B])
    rig.tick()
    written = Campaign.objects.extra(select={"xmin": "xmin::text"}).values_list("xmin", flat=True)
    before = written.get(pk=campaign.pk)
    idle.note_due(list(Call.objects.values_list("pk", flat=True)))
    assert written.get(pk=campaign.pk) == before
