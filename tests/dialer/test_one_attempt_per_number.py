"""An account has one attempt under way for a number, over campaigns, lists and duplicates; other calls wait for it."""

import threading
from collections import Counter

import pytest
from django.db import IntegrityError, connections
from django.utils import timezone

from accounts.models import Account
from campaigns import schedule
from campaigns.models import Call
from campaigns_project.idle_campaigns import longest_idle_seconds
from dialer import channels, claiming, diagnosis, dispatch, inbox
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig, redis_time
from tests.factories import CallAttemptFactory, CallerIdFactory, CallFactory

A, B, C = NUMBERS[:3]


@pytest.fixture
def rig(rig: Rig) -> Rig:
    """A carrier that takes every call and says nothing more: a test ends them."""
    rig.carrier.script = {number: ["silent"] * 9 for number in NUMBERS}
    return rig


@pytest.fixture
def at_work(redis):
    for process in diagnosis.NEEDED:
        redis.set(f"progress:{process}", redis_time(redis))


def start(rig: Rig) -> int:
    schedule.start_due(timezone.now())
    return rig.dispatch()


def under_way() -> Counter[str]:
    attempts = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED)
    return Counter(attempts.values_list("call__number", flat=True))


def end_all(rig: Rig, status: str = "completed") -> None:
    rig.dial()
    up = CallAttempt.objects.filter(status="in-progress").values_list("pk", flat=True)
    inbox.append("simulated", [(pk, {"status": status}) for pk in up])
    rig.settle()


def test_two_campaigns_ring_one_person_one_after_the_other(rig):
    first, second = rig.campaign([A]), rig.campaign([A])
    assert start(rig) == 1
    assert rig.dispatch() == 0
    assert under_way() == {A: 1}
    end_all(rig)
    assert rig.dispatch() == 1
    end_all(rig)
    for campaign in (first, second):
        campaign.refresh_from_db()
        assert campaign.status == "completed"


def test_two_caller_ids_are_no_way_around_it(rig):
    rig.campaign([A])
    other = CallerIdFactory(account=rig.account, trunk=rig.trunk)
    rig.campaign([A], caller_id=other, caller_id_given=other.number)
    assert start(rig) == 1


def test_duplicates_of_a_campaign_are_called_one_after_the_other(rig):
    campaign = rig.campaign([A, A, A, B], call_duplicate_numbers=True)
    start(rig)
    rig.dispatch()
    assert under_way() == {A: 1, B: 1}
    for _ in range(3):
        end_all(rig)
        rig.dispatch()
    campaign.refresh_from_db()
    assert campaign.status == "completed"
    assert Counter(CallAttempt.objects.values_list("callee", flat=True)) == {A: 3, B: 1}


def test_a_retry_waits_for_another_campaigns_call(rig):
    first = rig.campaign([A], retries=1)
    start(rig)
    end_all(rig, "busy")
    rig.campaign([A])
    start(rig)
    rig.dial()
    rig.clock.shift(601)
    assert rig.dispatch() == 0
    end_all(rig)
    assert rig.dispatch() == 1
    assert CallAttempt.objects.get(status="claimed").campaign == first


def test_another_account_has_a_number_of_its_own(rig):
    CallAttemptFactory(call__number=A, trunk=rig.trunk, in_progress=True)
    rig.campaign([A])
    assert start(rig) == 1


def test_waiting_costs_no_attempt_no_channel_and_no_start(rig, redis):
    Account.objects.filter(pk=rig.account.pk).update(starts_per_minute=1)
    rig.campaign([A])
    start(rig)
    waiting = rig.campaign([A, A, B], call_duplicate_numbers=True)
    schedule.start_due(timezone.now())
    starts = redis.get(f"channels:starts:account:{rig.account.pk}")
    for _ in range(5):
        dispatch.dispatch(rig.account.pk, timezone.now())
    assert redis.zcard(f"channels:held:account:{rig.account.pk}") == 1, "B waits for the pace"
    assert redis.get(f"channels:starts:account:{rig.account.pk}") == starts
    assert list(waiting.calls.values_list("status", "attempts_made").distinct()) == [("created", 0)]
    assert not Call.objects.filter(campaign=waiting, history__isnull=False).exists()


def test_a_lease_without_a_call_gives_its_start_back(rig, monkeypatch, redis):
    Account.objects.filter(pk=rig.account.pk).update(starts_per_minute=1)
    rig.campaign([A])
    schedule.start_due(timezone.now())
    monkeypatch.setattr(claiming, "_lock_due_calls", lambda *_: [])
    assert rig.dispatch() == 0
    monkeypatch.undo()
    assert rig.dispatch() == 1, "the pace of one start a minute was not used up by nobody"


def test_calls_behind_many_duplicates_are_not_kept_waiting(rig):
    Account.objects.filter(pk=rig.account.pk).update(channels=10)
    rig.campaign([A] * 300 + NUMBERS[1:20], call_duplicate_numbers=True)
    start(rig)
    while rig.dispatch():
        pass
    assert len(under_way()) == 10
    assert set(under_way().values()) == {1}


def test_one_look_finds_every_number_of_a_campaign_with_duplicates(rig):
    """First tries are counted before retries. They are as many as there are places, but all of one number."""
    Account.objects.filter(pk=rig.account.pk).update(channels=2)
    campaign = rig.campaign([A, A, A], call_duplicate_numbers=True)
    CallFactory(campaign=campaign, number=B, retrying=True, next_attempt_at=timezone.now())
    assert start(rig) == 2
    assert under_way() == {A: 1, B: 1}


def test_the_database_refuses_a_second_attempt_for_a_number(db):
    first = CallAttemptFactory(in_progress=True)
    with pytest.raises(IntegrityError, match="number_has_one_attempt_under_way"):
        CallAttemptFactory(call__campaign=first.campaign, call__number=first.callee, number=1)


def test_dispatches_that_race_for_one_person_in_twenty_campaigns_claim_one_call(rig, transactional_db):
    for _ in range(20):
        rig.campaign([A, B, C])
    schedule.start_due(timezone.now())
    together, faults = threading.Barrier(4), []

    def run():
        try:
            together.wait(60)
            for _ in range(5):
                dispatch.dispatch(rig.account.pk, timezone.now())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test fails with it
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults
    assert under_way() == {A: 1, B: 1, C: 1}
    assert Call.objects.filter(status="in-progress").count() == 3
    held = channels.held([channels.Scope("account", rig.account.pk, 60)])
    assert list(held.values()) == [3]


def test_the_diagnosis_says_what_the_call_waits_for(rig, redis, at_work):
    rig.campaign([A])
    start(rig)
    rig.dial()
    waiting = rig.campaign([A])
    schedule.start_due(timezone.now())
    told = diagnosis.of_campaign(waiting, timezone.now())
    assert [reason.code for reason in told.reasons] == ["number-busy"]
    assert told.summary == "1 call waiting for another call to the same number to end"
    [call] = diagnosis.of_calls(list(waiting.calls.all()), told, timezone.now())
    assert call.summary == (
        "not dialled yet: another call to this number is under way, and this one waits for it to end"
    )


def test_a_call_that_waits_for_its_number_is_not_counted_as_idle(rig):
    rig.campaign([A])
    start(rig)
    rig.dial()
    rig.campaign([A])
    schedule.start_due(timezone.now())
    rig.clock.shift(300)
    assert longest_idle_seconds(timezone.now()) == 0
    end_all(rig)
    rig.clock.shift(20)
    assert longest_idle_seconds(timezone.now()) > 0
