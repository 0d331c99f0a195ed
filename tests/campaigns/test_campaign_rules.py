"""The rules for campaigns that Exotel's Campaigns API documentation states: one test for each."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts.models import Account
from campaigns import lifecycle
from campaigns.models import Call, Campaign
from core.errors import WrongState
from dialer import inbox
from tests.conftest import NUMBERS, START, states
from tests.factories import ACTOR

A, B, C = NUMBERS[:3]
HOUR = timedelta(hours=1)
IST = ZoneInfo("Asia/Kolkata")


def test_a_campaign_is_created_then_in_progress_then_completed(rig):
    campaign = rig.campaign(send_at=START + HOUR)
    assert campaign.status == "created"
    rig.tick()
    assert rig.rings() == []
    rig.clock.shift(HOUR)
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "completed"
    assert campaign.started_at == START + HOUR
    assert [(row.from_status, row.to_status) for row in campaign.history.order_by("id")] == [
        ("created", "in-progress"),
        ("in-progress", "completed"),
    ]


def test_completed_when_every_call_reached_its_end_whatever_each_came_to(rig):
    rig.carrier.script = {A: ["completed"], B: ["busy"], C: ["no-answer"]}
    campaign = rig.campaign(3)
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "completed"
    assert states(campaign) == {A: "completed", B: "failed", C: "failed"}


def test_completed_when_the_end_came_after_some_calls_had_been_attempted_and_the_rest_is_canceled(rig):
    Account.objects.filter(pk=rig.account.pk).update(channels=1)
    campaign = rig.campaign(3, end_at=START + HOUR)
    rig.tick()
    rig.clock.shift(HOUR)
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "completed"
    assert states(campaign) == {A: "completed", B: "canceled", C: "canceled"}
    assert rig.rings() == [A]


def test_failed_when_no_call_could_be_made_with_the_http_status_that_says_why(rig):
    rig.carrier.script = {A: ["refused"], B: ["refused"]}
    campaign = rig.campaign(2, retries=2)
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "failed"
    assert campaign.failure_http_status == 403
    assert states(campaign) == {A: "failed", B: "failed"}


def test_failed_when_the_end_came_before_a_single_call_and_the_calls_are_canceled(rig):
    rig.carrier.script = {A: ["unavailable"]}
    campaign = rig.campaign(1, end_at=START + HOUR)
    rig.tick()
    rig.later(hours=1)
    campaign.refresh_from_db()
    assert campaign.status == "failed"
    assert campaign.failure_http_status == 503
    assert states(campaign) == {A: "canceled"}


def test_a_campaign_some_of_whose_calls_were_made_has_not_failed(rig):
    rig.carrier.script = {A: ["refused"], B: ["busy"]}
    campaign = rig.campaign(2)
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "completed"
    assert campaign.failure_http_status is None


def test_canceled_when_paused_and_never_resumed_and_the_calls_left_are_failed(rig):
    Account.objects.filter(pk=rig.account.pk).update(channels=1)
    campaign = rig.campaign(3, end_at=START + HOUR)
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    rig.later(hours=1)
    campaign.refresh_from_db()
    assert campaign.status == "canceled"
    assert states(campaign) == {A: "completed", B: "failed", C: "failed"}


def test_a_paused_campaign_is_completed_when_its_last_calls_up_have_ended(rig):
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign()
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    inbox.append("simulated", rig.carrier.hang_up([rig.carrier.rings[0].attempt_id.hex]))
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "completed"


def test_a_paused_campaign_without_an_end_expires_30_days_after_its_start(rig):
    campaign = rig.campaign(2)
    lifecycle.pause(campaign, actor=ACTOR)
    rig.later(days=30, seconds=-1)
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    rig.later(seconds=1)
    campaign.refresh_from_db()
    assert campaign.status == "canceled"
    assert set(states(campaign).values()) == {"failed"}


def test_deleted_only_before_the_start(rig):
    waiting, running = rig.campaign(send_at=START + HOUR), rig.campaign(send_at=START)
    rig.carrier.script = {A: ["silent"]}
    rig.tick()
    assert lifecycle.delete(waiting, actor=ACTOR).status == "deleted"
    with pytest.raises(WrongState, match="it is in-progress"):
        lifecycle.delete(running, actor=ACTOR)
    lifecycle.pause(running, actor=ACTOR)
    with pytest.raises(WrongState, match="it has started"):
        lifecycle.delete(running, actor=ACTOR)
    rig.later(hours=2)
    waiting.refresh_from_db()
    assert waiting.status == "deleted"
    assert rig.rings() == [A]


def test_a_running_campaign_accepts_only_the_callbacks_and_an_action(rig):
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign()
    rig.tick()
    with pytest.raises(WrongState, match="only action, status_callback"):
        lifecycle.change(campaign, now=timezone.now(), name="another name", actor=ACTOR)
    changed = lifecycle.change_callbacks(campaign, status_callback="https://example.org/told", actor=ACTOR)
    assert changed.status_callback == "https://example.org/told"
    assert lifecycle.pause(campaign, actor=ACTOR).status == "paused"


def test_no_new_attempt_after_the_end_but_a_call_that_is_up_finishes(rig):
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign(1, retries=2, end_at=START + HOUR)
    rig.tick()
    rig.later(hours=1)
    campaign.refresh_from_db()
    assert campaign.status == "in-progress"
    inbox.append("simulated", rig.carrier.hang_up([rig.carrier.rings[0].attempt_id.hex]))
    rig.tick()
    campaign.refresh_from_db()
    assert campaign.status == "completed"
    assert states(campaign) == {A: "completed"}


def test_a_retry_that_would_come_after_the_end_is_not_made_and_the_number_keeps_its_outcome(rig):
    rig.carrier.script = {A: ["busy"]}
    campaign = rig.campaign(1, retries=2, end_at=START + timedelta(minutes=10))
    rig.tick()
    call = Call.objects.get(campaign=campaign)
    assert (call.status, call.last_outcome) == ("failed", "busy")
    rig.later(hours=1)
    assert rig.rings() == [A]


def test_a_call_with_no_retry_left_is_failed_whatever_its_last_outcome(rig):
    rig.carrier.script = {A: ["busy", "no-answer", "failed"]}
    campaign = rig.campaign(1, retries=2)
    rig.tick()
    call = Call.objects.get(campaign=campaign)
    assert (call.status, call.last_outcome) == ("retrying", "busy")
    rig.later(minutes=10)
    rig.later(minutes=10)
    call.refresh_from_db()
    assert (call.status, call.last_outcome, call.attempts_made) == ("failed", "failed", 3)
    assert [attempt.status for attempt in call.attempts.order_by("number")] == ["busy", "no-answer", "failed"]


def test_retries_are_made_on_the_chosen_outcomes_only(rig):
    rig.carrier.script = {A: ["busy", "completed"], B: ["no-answer", "completed"]}
    campaign = rig.campaign(2, number_of_retries=1, retry_interval_mins=10, retry_on_status=["busy"])
    rig.tick()
    rig.later(minutes=10)
    assert states(campaign) == {A: "completed", B: "failed"}
    assert sorted(rig.rings()) == [A, A, B]


@pytest.mark.parametrize(
    ("zone", "local", "is_called"),
    [
        ("Asia/Kolkata", "2026-03-02 10:29:59", False),
        ("Asia/Kolkata", "2026-03-02 10:30:00", True),
        ("Asia/Kolkata", "2026-03-02 20:59:59", True),
        ("Asia/Kolkata", "2026-03-02 21:00:00", False),
        # The days on which New York's and Lord Howe's clocks change: by an hour, and by half an hour.
        ("America/New_York", "2026-03-08 10:29:59", False),
        ("America/New_York", "2026-03-08 10:30:00", True),
        ("America/New_York", "2026-11-01 20:59:59", True),
        ("America/New_York", "2026-11-01 21:00:00", False),
        ("Australia/Lord_Howe", "2026-04-05 10:30:00", True),
        ("Australia/Lord_Howe", "2026-04-05 10:29:59", False),
    ],
)
def test_nobody_is_called_outside_1030_to_2100_in_the_accounts_zone(rig, zone, local, is_called):
    Account.objects.filter(pk=rig.account.pk).update(time_zone=zone, opens_at=time(10, 30), closes_at=time(21))
    rig.clock.move_to(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)))
    rig.campaign()
    rig.tick()
    assert len(rig.rings()) == is_called


def test_what_was_not_called_by_the_evening_is_called_from_the_next_morning(rig):
    Account.objects.filter(pk=rig.account.pk).update(opens_at=time(10, 30), closes_at=time(21), channels=1)
    rig.clock.move_to(datetime(2026, 3, 2, 20, 59, 59, tzinfo=IST))
    campaign = rig.campaign(2)
    rig.tick()
    rig.later(seconds=1)
    rig.later(hours=6)
    assert rig.rings() == [A]
    rig.clock.move_to(datetime(2026, 3, 3, 10, 30, tzinfo=IST))
    rig.tick()
    campaign.refresh_from_db()
    assert rig.rings() == [A, B]
    assert campaign.status == "completed"


def test_a_retry_that_falls_due_at_night_waits_for_the_morning(rig):
    Account.objects.filter(pk=rig.account.pk).update(opens_at=time(10, 30), closes_at=time(21))
    rig.clock.move_to(datetime(2026, 3, 2, 20, 55, tzinfo=IST))
    rig.carrier.script = {A: ["busy", "completed"]}
    rig.campaign(1, retries=1)
    rig.tick()
    rig.later(minutes=10)
    assert rig.rings() == [A]
    rig.clock.move_to(datetime(2026, 3, 3, 10, 30, tzinfo=IST))
    rig.tick()
    assert rig.rings() == [A, A]


def test_paused_calls_wait_for_the_resume_retries_too(rig):
    rig.carrier.script = {A: ["busy", "completed"]}
    campaign = rig.campaign(1, retries=1)
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    rig.later(minutes=30)
    assert rig.rings() == [A]
    lifecycle.resume(campaign, actor=ACTOR)
    rig.tick()
    assert rig.rings() == [A, A]


def test_complete_ends_a_paused_campaign_and_fails_what_is_left(rig):
    rig.carrier.script = {A: ["busy"], B: ["silent"]}
    Account.objects.filter(pk=rig.account.pk).update(channels=2)
    campaign = rig.campaign(3, retries=2)
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    assert lifecycle.complete(campaign, actor=ACTOR).status == "completed"
    assert states(campaign) == {A: "failed", B: "in-progress", C: "failed"}
    inbox.append("simulated", rig.carrier.hang_up([rig.carrier.rings[1].attempt_id.hex]))
    rig.settle()
    assert states(campaign) == {A: "failed", B: "completed", C: "failed"}


def test_a_call_that_ends_badly_after_the_campaign_was_completed_is_not_tried_again(rig):
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign(1, retries=2)
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    lifecycle.complete(campaign, actor=ACTOR)
    inbox.append("simulated", [(rig.carrier.rings[0].attempt_id, {"status": "busy"})])
    rig.settle()
    assert states(campaign) == {A: "failed"}


def test_only_an_ended_campaign_is_archived(rig):
    campaign = rig.campaign()
    with pytest.raises(WrongState, match="must be canceled or completed or failed"):
        lifecycle.archive(campaign, actor=ACTOR)
    rig.tick()
    assert lifecycle.archive(campaign, actor=ACTOR).status == "archived"


def test_a_campaign_paused_before_its_start_waits_for_it_again_when_resumed(rig):
    campaign = rig.campaign(send_at=START + HOUR)
    lifecycle.pause(campaign, actor=ACTOR)
    assert lifecycle.resume(campaign, actor=ACTOR).status == "created"
    lifecycle.pause(campaign, actor=ACTOR)
    rig.later(hours=2)
    assert rig.rings() == []
    assert lifecycle.resume(campaign, actor=ACTOR).status == "in-progress"
    rig.tick()
    assert rig.rings() == [A]


def test_the_same_number_twice_is_called_once_unless_asked_otherwise(rig):
    once = rig.campaign([A, B, A])
    twice = rig.campaign([A, A], call_duplicate_numbers=True)
    assert [call.number for call in once.calls.order_by("id")] == [A, B]
    assert [call.number for call in twice.calls.order_by("id")] == [A, A]


def test_an_account_has_the_limits_of_exotels_campaigns_api_by_default():
    account = Account(sid="acme")
    assert (account.channels, account.starts_per_minute, account.requests_per_minute) == (60, 60, 200)
    assert str(account.calling_hours) == "10:30-21:00 Asia/Kolkata"


def test_every_end_of_a_campaign_is_final(rig):
    for status in (Campaign.Status.FAILED, Campaign.Status.CANCELED, Campaign.Status.DELETED, Campaign.Status.ARCHIVED):
        campaign = Campaign(status=status)
        assert not campaign.is_open
