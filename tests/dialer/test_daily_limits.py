"""The most calls and minutes of an account in a day of its time zone."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns import schedule
from dialer import daily_limits, diagnosis, gate
from dialer.diagnosis.campaigns import loaded
from dialer.models import CallAttempt, UsageChange
from tests.conftest import NUMBERS, START, states
from tests.factories import CallAttemptFactory

MIDNIGHT = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)  # in India


@pytest.fixture
def limited(rig):
    def limit(**columns):
        for name, value in columns.items():
            setattr(rig.account, name, value)
        rig.account.save()
        return rig

    return limit


def test_calls_stop_at_the_limit_and_go_on_after_midnight(limited):
    rig = limited(daily_calls=3, opens_at="00:00", closes_at="00:00")
    campaign = rig.campaign(5, status_callback="https://client.example/")
    rig.tick()
    rig.later(minutes=1)
    assert sorted(rig.rings()) == NUMBERS[:3]
    campaign.refresh_from_db()
    assert campaign.status == "in-progress"
    assert list(campaign.webhook_deliveries.values_list("kind", flat=True)) == ["campaign-status"], "of its start"
    waiting = list(campaign.calls.filter(status="created").values_list("attempts_made", flat=True))
    assert waiting == [0, 0]
    told = diagnosis.of_campaign(campaign, START + timedelta(minutes=1))
    reason = told.reasons[0]
    assert reason.code == "daily-limit"
    assert reason.message == "not before 2026-03-03 00:00 IST, because the daily limit of 3 calls was reached"
    assert (reason.until, told.next_attempt_at) == (MIDNIGHT, MIDNIGHT)
    rig.clock.move_to(MIDNIGHT - timedelta(seconds=1), tick=False)
    rig.tick()
    assert len(rig.rings()) == 3
    rig.later(seconds=1)
    assert sorted(rig.rings()) == NUMBERS[:5]


def test_retries_count_and_attempts_that_are_given_back_do_not(limited):
    rig = limited(daily_calls=3)
    rig.carrier.script = {NUMBERS[0]: ["unavailable", "busy"]}
    rig.campaign([NUMBERS[0]], retries=3)
    rig.tick()
    assert (rig.rings(), used(rig)) == ([], (0, 0))
    for _ in range(6):
        rig.later(minutes=10)
    assert len(rig.rings()) == 3
    assert used(rig) == (3, 0)


def used(rig) -> tuple[int, int]:
    daily_limits.load([rig.account], START)
    usage = daily_limits.usage_of(rig.account, START)
    return usage.calls, usage.seconds


def test_claims_of_two_dispatches_never_go_beyond_the_limit(limited):
    rig = limited(daily_calls=3)
    rig.campaign(2, name="first")
    rig.campaign(NUMBERS[2:7], name="second")
    schedule.start_due(START)
    assert rig.dispatch() == 3
    assert rig.dispatch() == 0
    rig.dial()
    assert rig.dispatch() == 0
    assert len(rig.rings()) == 3


def test_minutes_are_those_of_ended_calls(limited):
    rig = limited(daily_minutes=1)
    rig.campaign(1)
    rig.tick()
    assert used(rig) == (1, 7)
    CallAttempt.objects.update(duration_seconds=59)
    campaign = rig.campaign([NUMBERS[1]])
    rig.later(seconds=1)
    assert sorted(rig.rings()) == NUMBERS[:2]
    CallAttempt.objects.update(duration_seconds=30)
    assert used(rig) == (2, 60)
    campaign = rig.campaign([NUMBERS[2]])
    rig.later(seconds=1)
    assert states(campaign) == {NUMBERS[2]: "created"}
    assert "the daily limit of 1 minute was reached" in diagnosis.of_campaign(campaign, START).summary


def test_a_claim_is_given_back_when_the_limit_is_lowered_before_it_is_dialed(limited):
    rig = limited(daily_calls=5)
    rig.campaign(2)
    rig.tick()
    campaign = rig.campaign(NUMBERS[2:4])
    rig.clock.shift(1)
    schedule.start_due(START + timedelta(seconds=1))
    rig.dispatch()
    limited(daily_calls=2)
    rig.dial()
    assert len(rig.rings()) == 2
    assert set(states(campaign).values()) == {"created"}


@pytest.mark.django_db
def test_an_account_without_a_limit_costs_no_query(django_assert_num_queries):
    account = CallAttemptFactory().account
    with django_assert_num_queries(0):
        daily_limits.load([account], START)
        assert daily_limits.reached(account, START) is None
        assert daily_limits.calls_left(account, START) is None


@pytest.mark.django_db
def test_the_sums_stay_the_same_when_rows_are_added_up_and_old_ones_go():
    now = datetime(2026, 3, 2, 20, tzinfo=UTC)
    attempts = [CallAttemptFactory(claimed_at=now - timedelta(hours=hours)) for hours in (0, 0, 1, 100)]
    account = attempts[0].account
    CallAttempt.objects.update(account=account)
    for attempt in attempts:
        CallAttempt.objects.filter(pk=attempt.pk).update(
            placing_at=attempt.claimed_at, status="placing", carrier_account=attempt.trunk.carrier_account
        )
    CallAttempt.objects.filter(pk=attempts[0].pk).update(status="canceled", ended_at=now)
    CallAttempt.objects.filter(pk=attempts[1].pk).update(status="completed", ended_at=now, duration_seconds=40)
    account.daily_calls = 10

    def sums():
        daily_limits.load([account], now)
        usage = daily_limits.usage_of(account, now)
        return usage.calls, usage.seconds

    assert sums() == (2, 40)
    assert UsageChange.objects.count() == 6
    assert daily_limits.compact(now) == 4
    assert sums() == (2, 40)
    assert sorted(UsageChange.objects.values_list("calls", "seconds")) == [(1, 0), (1, 40)]
    attempts[1].call.delete()
    assert sums() == (2, 40), "what was placed stays placed"
    assert daily_limits.compact(now) == 0


def test_the_gate_knows_of_no_limit_on_a_later_day(limited):
    rig = limited(daily_calls=1)
    campaign = rig.campaign(2)
    rig.tick()
    campaign = loaded(campaign)
    assert isinstance(gate.check(campaign, START), gate.NotBefore)
    assert gate.next_open(campaign, START) == MIDNIGHT
