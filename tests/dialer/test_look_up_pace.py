"""Look-ups have an allowance of their own at each carrier, and yield to a carrier that takes no more requests."""

from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import Account
from campaigns.models import Campaign
from dialer import look_up_pace, look_ups
from dialer.carriers.base import CantTell, Unavailable
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig, states

PER_MINUTE = 60


@pytest.fixture(autouse=True)
def slow(settings):
    settings.CARRIER_LOOK_UPS_PER_MINUTE = PER_MINUTE


@pytest.fixture
def asked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[tuple[datetime, UUID]]:
    """When which attempt was asked for."""
    told: list[tuple[datetime, UUID]] = []
    look_up = rig.carrier.look_up

    def noted(placed):
        told.extend((timezone.now(), attempt.attempt_id) for attempt in placed)
        return look_up(placed)

    monkeypatch.setattr(rig.carrier, "look_up", noted)
    return told


def dial(rig: Rig, numbers: list[str], outcome: str) -> Campaign:
    Account.objects.update(channels=1000)
    rig.carrier.script |= {number: [outcome] for number in numbers}
    campaign = rig.campaign(numbers)
    rig.tick()
    return campaign


def sweep(rig: Rig, seconds: int) -> None:
    """Let recovery sweep every five seconds, for so long."""
    for _ in range(seconds // 5):
        rig.clock.shift(timedelta(seconds=5))
        rig.recover()


def of(campaign: Campaign) -> set[UUID]:
    return set(CallAttempt.objects.filter(campaign=campaign).values_list("pk", flat=True))


def test_a_minute_has_no_more_look_ups_than_its_allowance(rig: Rig, asked):
    dial(rig, NUMBERS[:150], "silent")
    sweep(rig, 600)
    begins = asked[0][0]
    since = [(at - begins) // timedelta(minutes=1) for at, _ in asked]
    in_minutes = [since.count(minute) for minute in range(8)]
    burst = PER_MINUTE // 6
    assert max(in_minutes) <= PER_MINUTE + burst
    assert min(in_minutes) >= PER_MINUTE - burst


def test_lost_replies_are_settled_in_the_time_that_the_allowance_takes(rig: Rig, asked):
    """120 at 60 a minute: two minutes after the half one in which the carrier is not believed."""
    campaign = dial(rig, NUMBERS[:120], "lost-before-ring")
    sweep(rig, 25)
    assert "created" not in states(campaign).values()
    sweep(rig, 130)
    assert set(states(campaign).values()) == {"created"}


def test_those_whose_look_up_settles_them_come_first(rig: Rig, asked):
    old = dial(rig, NUMBERS[:10], "lost-before-ring")
    rig.clock.shift(timedelta(seconds=20))
    young = dial(rig, NUMBERS[10:20], "lost-before-ring")
    rig.clock.shift(timedelta(seconds=11))
    CallAttempt.objects.filter(campaign=old).update(heard_at=timezone.now())  # asked for already, a moment ago
    rig.recover()
    assert {attempt_id for _, attempt_id in asked} == of(old)
    assert not of(young) & {attempt_id for _, attempt_id in asked}


def test_calls_that_are_up_have_a_share_while_others_are_in_doubt(rig: Rig, asked):
    up = dial(rig, NUMBERS[:20], "silent")
    rig.clock.shift(timedelta(seconds=61))
    rig.carrier.replies_to_look_ups = False
    dial(rig, NUMBERS[20:60], "lost-after-ring")
    rig.recover()
    of_up = [attempt_id for _, attempt_id in asked if attempt_id in of(up)]
    assert (len(asked), len(of_up)) == (10, 2)
    sweep(rig, 60)
    assert {attempt_id for _, attempt_id in asked} >= set(of_up)


def test_the_longest_unheard_is_asked_for_first_so_that_all_have_their_turn(rig: Rig, asked):
    campaign = dial(rig, NUMBERS[:90], "silent")
    sweep(rig, 60 + 90 + 5)
    assert {attempt_id for _, attempt_id in asked} == of(campaign)


def too_many(rig: Rig, monkeypatch: pytest.MonkeyPatch, retry_after: float | None) -> list[datetime]:
    """Let the carrier take no look-ups; returns when it was asked."""
    told: list[datetime] = []

    def refuse(placed):
        told.append(timezone.now())
        refusal = CantTell("HTTP 429", is_too_many=True, retry_after=retry_after)
        return {attempt.attempt_id: refusal for attempt in placed}

    monkeypatch.setattr(rig.carrier, "look_up", refuse)
    return told


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 10), (30.0, 30), (86_400.0, 300), (-5.0, 5), (0.0, 5)])
def test_a_carrier_that_takes_no_more_requests_is_left_alone(rig: Rig, monkeypatch, retry_after, seconds):
    dial(rig, NUMBERS[:3], "lost-after-ring")
    told = too_many(rig, monkeypatch, retry_after)
    sweep(rig, 2 * seconds + 60)
    gaps = [later - earlier for earlier, later in pairwise(told)]
    assert min(gaps) >= timedelta(seconds=seconds)
    assert min(gaps) <= timedelta(seconds=seconds + 10)


def test_look_ups_yield_to_dialing_that_meets_429(rig: Rig, asked, monkeypatch):
    dial(rig, NUMBERS[:3], "lost-before-ring")
    rig.clock.shift(timedelta(seconds=31))
    monkeypatch.setattr(
        rig.carrier,
        "place",
        lambda requests: {request.attempt_id: Unavailable("HTTP 429", 429) for request in requests},
    )
    rig.campaign([NUMBERS[5]])
    rig.tick()
    assert rig.recover().given_back == 0
    assert asked == []
    rig.clock.shift(look_up_pace.REST + timedelta(seconds=3))
    assert rig.recover().given_back == 3


def test_what_can_not_be_asked_for_ends_all_the_same(rig: Rig, settings):
    settings.CARRIER_LOOK_UPS_PER_MINUTE = 0.001
    campaign = dial(rig, NUMBERS[:3], "lost-after-ring")
    rig.clock.shift(timedelta(seconds=16))
    assert rig.recover().adopted == 1
    rig.clock.shift(look_ups.longest_call() + look_ups.HANG_UP_GRACE - timedelta(seconds=30))
    assert rig.recover().given_up == 0
    rig.clock.shift(timedelta(seconds=30))
    rig.recover()
    assert set(states(campaign).values()) == {"failed"}


def test_a_clock_that_is_set_back_stops_no_look_ups(rig: Rig, asked):
    dial(rig, NUMBERS[:3], "lost-before-ring")
    look_up_pace.take(rig.trunk.carrier_account_id, 10, timezone.now() + timedelta(hours=2))
    rig.clock.shift(timedelta(seconds=31))
    assert rig.recover().given_back == 3


def test_each_account_at_a_carrier_has_its_own_allowance(redis):
    now = timezone.now()
    look_up_pace.take(1, 10, now)
    assert (look_up_pace.room(1, now), look_up_pace.room(2, now)) == (0, 10)


def test_dialing_into_the_carriers_limit_all_the_time_leaves_look_ups_their_turns(rig: Rig, asked, monkeypatch):
    [lost] = of(dial(rig, NUMBERS[:1], "lost-after-ring"))
    place = rig.carrier.place

    def often_too_many(requests):
        replies = dict(place(requests))
        replies |= {request.attempt_id: Unavailable("HTTP 429", 429) for request in requests[9::10]}
        return replies

    monkeypatch.setattr(rig.carrier, "place", often_too_many)
    for second in range(60):
        rig.clock.shift(timedelta(seconds=1))
        rig.campaign(NUMBERS[1:11])
        rig.tick()
        if second % 5 == 0:
            rig.recover()
    assert lost in {attempt_id for _, attempt_id in asked}


@pytest.mark.parametrize("seconds", [1e15, float("inf")])
def test_a_carrier_that_asks_for_longer_than_any_time_is_asked_again(rig: Rig, monkeypatch, seconds):
    dial(rig, NUMBERS[:2], "silent")
    too_many = CantTell("HTTP 429", is_too_many=True, retry_after=seconds)
    monkeypatch.setattr(rig.carrier, "look_up", lambda placed: {each.attempt_id: too_many for each in placed})
    rig.clock.shift(look_ups.longest_call() - timedelta(minutes=10))
    rig.recover()
    rig.clock.shift(timedelta(minutes=20))
    rig.recover()
    assert not CallAttempt.objects.filter(status="in-progress").exists()


@pytest.mark.parametrize("per_minute", [6, 30])
def test_calls_up_are_asked_for_where_there_is_little_room(rig: Rig, asked, settings, monkeypatch, per_minute):
    settings.CARRIER_LOOK_UPS_PER_MINUTE = per_minute
    [up] = of(dial(rig, NUMBERS[:1], "silent"))
    dial(rig, NUMBERS[1:10], "lost-after-ring")
    can_not_tell = rig.carrier.look_up

    def look_up(placed):
        can_not_tell(placed)
        return {each.attempt_id: CantTell("?") for each in placed}

    monkeypatch.setattr(rig.carrier, "look_up", look_up)
    sweep(rig, 300)
    assert up in {attempt_id for _, attempt_id in asked}
