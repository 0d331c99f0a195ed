"""One number twice in a campaign, every reply lost: the second call waits for the first, and both end in time."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Call, Campaign
from dialer import look_ups
from dialer.carriers.base import CantTell, Event, NoSuchCall
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig

A = NUMBERS[0]
SWEEP = timedelta(seconds=5)


def under_way() -> int:
    return CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED).count()


def seconds_until_the_end(rig: Rig, campaign: Campaign, most: timedelta, step: timedelta = SWEEP) -> float:
    """Let beat tick and recovery sweep until the campaign has ended."""
    begins = timezone.now()
    while timezone.now() < begins + most:
        rig.tick()
        rig.recover()
        assert under_way() <= 1, "two attempts at one number at once"
        if not Campaign.objects.get(pk=campaign.pk).is_open:
            return (timezone.now() - begins).total_seconds()
        rig.clock.shift(step)
    raise AssertionError(f"{list(Call.objects.values_list('status', flat=True))} after {most}")


@pytest.fixture
def lists_calls_by_number(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The carrier lists calls that have ended, and finds one whose reply was lost by its number alone."""

    def look_up(placed):
        found = {}
        for attempt in placed:
            calls = [ring.attempt_id.hex for ring in rig.carrier.rings if ring.number == attempt.number]
            fitting = [ref for ref in calls if ref not in attempt.known_refs]
            found[attempt.attempt_id] = Event("completed", carrier_ref=fitting[0]) if fitting else NoSuchCall()
        return found

    monkeypatch.setattr(rig.carrier, "look_up", look_up)


@pytest.mark.parametrize("times", [2, 3])
def test_replies_lost_after_the_ring(rig: Rig, lists_calls_by_number, times):
    rig.carrier.script = {A: ["lost-after-ring"]}
    campaign = rig.campaign([A] * times, call_duplicate_numbers=True)
    assert Call.objects.count() == times
    assert seconds_until_the_end(rig, campaign, timedelta(minutes=10)) <= 35 * times
    assert len(rig.rings(A)) == times
    assert set(Call.objects.values_list("status", flat=True)) == {"completed"}


def test_replies_lost_before_the_ring(rig: Rig, lists_calls_by_number):
    """Each is given back after 30 s, and dialed again."""
    rig.carrier.script = {A: ["lost-before-ring", "lost-before-ring", "lost-after-ring", "completed"]}
    campaign = rig.campaign([A, A], call_duplicate_numbers=True)
    assert seconds_until_the_end(rig, campaign, timedelta(minutes=10)) <= 4 * 35
    assert len(rig.rings(A)) == 2
    assert set(Call.objects.values_list("status", flat=True)) == {"completed"}


@pytest.mark.parametrize("rung", [True, False])
def test_a_carrier_that_can_not_tell_costs_the_longest_call_for_each(rig: Rig, monkeypatch, settings, rung):
    settings.MAX_CALL_SECONDS = 600
    rig.carrier.script = {A: ["lost-after-ring" if rung else "lost-before-ring"]}
    cant_tell = CantTell("no reply")
    monkeypatch.setattr(rig.carrier, "look_up", lambda placed: {attempt.attempt_id: cant_tell for attempt in placed})
    campaign = rig.campaign([A, A], call_duplicate_numbers=True)
    longest = look_ups.longest_call() + timedelta(minutes=1)
    assert (
        seconds_until_the_end(rig, campaign, timedelta(hours=1), timedelta(seconds=30)) <= 2 * longest.total_seconds()
    )
    assert set(Call.objects.values_list("status", flat=True)) == {"failed"}
