"""An attempt that is given back again and again slows its call down; a dialer whose clock is off gives nothing back."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Account
from campaigns import schedule
from campaigns.models import Call
from core import clocks
from dialer import diagnosis, tasks
from dialer.attempt_ends import wait_after
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig, redis_time, states

CLAIM_TOO_OLD = 12  # seconds


def claim(rig: Rig) -> int:
    schedule.start_due(timezone.now())
    return rig.dispatch()


def give_back(rig: Rig) -> None:
    """Let the claims grow too old for the dialer that takes them."""
    rig.clock.shift(timedelta(seconds=CLAIM_TOO_OLD))
    rig.dial()


@pytest.fixture
def own_clock_ahead(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    """Set the clock of this process ahead, as one that is measured against the database's."""

    def set_ahead(seconds: float) -> None:
        rig.clock.shift(timedelta(seconds=seconds))
        monkeypatch.setattr(clocks, "_last", clocks.Measurement(seconds, 0.001, time.monotonic(), clocks._base()))

    return set_ahead


@pytest.mark.parametrize("seconds", [12.0, 3600.0, -12.0])
def test_a_dialer_whose_clock_is_off_dials_what_was_claimed(rig: Rig, own_clock_ahead, seconds):
    campaign = rig.campaign(3)
    claim(rig)
    own_clock_ahead(seconds)
    rig.dial()
    assert len(rig.rings()) == 3
    assert not CallAttempt.objects.filter(campaign=campaign, status="canceled").exists()


def test_a_dialer_whose_clock_is_off_rings_nobody_after_the_hours(rig: Rig, own_clock_ahead):
    """At 20:59:58 by its own clock, and at 21:00:10 by that of all."""
    Account.objects.update(opens_at="09:00", closes_at="21:00")
    rig.clock.move_to(timezone.now().replace(hour=15, minute=29, second=58))
    rig.campaign(1)
    claim(rig)
    rig.clock.shift(timedelta(seconds=3))
    own_clock_ahead(-12)
    rig.dial()
    assert rig.rings() == []


def test_recovery_whose_clock_is_off_does_not_believe_too_early(rig: Rig, own_clock_ahead):
    """The carrier's list may still lag: a call that it took would be rung once more."""
    rig.carrier.script[NUMBERS[0]] = ["lost-before-ring"]
    campaign = rig.campaign(1)
    claim(rig)
    rig.dial()
    rig.clock.shift(timedelta(seconds=20))
    own_clock_ahead(15)
    tasks.recover()
    assert set(states(campaign).values()) == {"in-progress"}
    rig.clock.shift(timedelta(seconds=11))
    tasks.recover()
    assert set(states(campaign).values()) == {"created"}


@pytest.mark.parametrize(
    ("given_back", "seconds"), [(0, 0), (1, 0), (3, 0), (4, 1), (5, 2), (6, 4), (9, 32), (10, 60), (1000, 60)]
)
def test_each_wait_is_longer(given_back, seconds):
    assert wait_after(given_back) == timedelta(seconds=seconds)


def attempts_in(rig: Rig, minutes: int) -> int:
    """Let a dialer that is always too late work for so long; returns how many attempts were claimed."""
    claimed, until = 0, timezone.now() + timedelta(minutes=minutes)
    while timezone.now() < until:
        claimed += claim(rig)
        give_back(rig)
    return claimed


def test_a_call_that_is_given_back_again_and_again_slows_down(rig: Rig):
    campaign = rig.campaign(1)
    for _ in range(3):
        assert claim(rig) == 1
        give_back(rig)
        assert states(campaign) == {NUMBERS[0]: "created"}
    assert claim(rig) == 1
    give_back(rig)
    call = Call.objects.get(campaign=campaign)
    assert (call.status, call.attempts_made) == ("retrying", 0)
    assert call.next_attempt_at == timezone.now() + timedelta(seconds=1)
    assert claim(rig) == 0
    rig.clock.shift(timedelta(seconds=1))
    assert claim(rig) == 1
    rig.dial()
    rig.settle()
    assert states(campaign) == {NUMBERS[0]: "completed"}
    assert attempts_in(rig, minutes=1) == 0


def test_in_ten_minutes_few_attempts_are_given_back(rig: Rig):
    rig.campaign(1)
    assert attempts_in(rig, minutes=10) <= 20


def test_what_was_long_ago_slows_nobody_down(rig: Rig):
    campaign = rig.campaign(1)
    for _ in range(3):
        claim(rig)
        give_back(rig)
    rig.clock.shift(timedelta(minutes=11))
    claim(rig)
    give_back(rig)
    assert states(campaign) == {NUMBERS[0]: "created"}


def test_calls_given_back_by_a_trunk_that_rests_wait_for_the_trunk_alone(rig: Rig):
    rig.carrier.script[NUMBERS[0]] = ["unavailable"] * 8 + ["completed"]
    campaign = rig.campaign(1)
    for _ in range(8):
        rig.later(seconds=61)
    assert states(campaign) == {NUMBERS[0]: "created"}
    rig.later(seconds=61)
    assert states(campaign) == {NUMBERS[0]: "completed"}


def test_the_diagnosis_says_so(rig: Rig, redis):
    for process in diagnosis.NEEDED:
        redis.set(f"progress:{process}", redis_time(redis))
    campaign = rig.campaign(2)
    for _ in range(4):
        claim(rig)
        give_back(rig)
    found = diagnosis.of_campaign(campaign, timezone.now())
    [reason] = [reason for reason in found.reasons if reason.code == "given-back"]
    assert reason.message == "2 calls given back again and again, each wait longer: no dialer took it in time"
    assert reason.until == timezone.now() + timedelta(seconds=1)
    rig.clock.shift(timedelta(seconds=1))
    claim(rig)
    rig.dial()
    assert "given-back" not in [reason.code for reason in diagnosis.of_campaign(campaign, timezone.now()).reasons]


def test_a_claim_of_eleven_seconds_is_still_given_back(rig: Rig):
    rig.campaign(1)
    claim(rig)
    rig.clock.shift(CLAIM_LIFETIME + timedelta(seconds=1))
    rig.dial()
    assert rig.rings() == []
