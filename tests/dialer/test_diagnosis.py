"""Why a campaign dials nothing, in one sentence, from the gate, the leases, the pace, the progress and the rows."""

import re
from datetime import time as clock_time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisAway

from campaigns import call_states, lifecycle, removal, schedule
from campaigns.models import Call, Campaign
from core import liveness
from dialer import channels, diagnosis, inbox, number_gate, trunk_health
from dialer.diagnosis import Diagnosis, limits
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig, redis_time
from tests.factories import (
    ACTOR,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    FlowFactory,
    RouteFactory,
    TransferFactory,
    TrunkFactory,
)

A, B = NUMBERS[:2]


@pytest.fixture
def at_work(redis):
    """Beat and the workers make progress: called, all of them have just now, by the clock that the test stops."""

    def progress() -> None:
        for who in diagnosis.NEEDED:
            redis.set(f"progress:{who}", redis_time(redis))

    progress()
    return progress


@pytest.fixture
def rig(rig: Rig, at_work) -> Rig:
    """A carrier that takes every call and says nothing more: a test ends them."""
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    return rig


def start() -> None:
    schedule.start_due(timezone.now())


def end_all(rig: Rig, status: str) -> None:
    up = CallAttempt.objects.filter(status="in-progress").values_list("pk", flat=True)
    inbox.append("simulated", [(pk, {"status": status}) for pk in up])
    rig.settle()


def of(campaign) -> Diagnosis:
    return diagnosis.of_campaign(campaign, timezone.now())


def codes(campaign) -> list[str]:
    return [reason.code for reason in of(campaign).reasons]


def of_number(campaign, number: str = A) -> str:
    calls = list(campaign.calls.filter(number=number))
    (one,) = diagnosis.of_calls(calls, of(campaign), timezone.now())
    return one.summary


# A campaign that dials -----------------------------------------------------------------------------------------------


def test_a_campaign_that_dials_says_so(rig: Rig):
    rig.account.channels = 2
    rig.account.save()
    campaign = rig.campaign(5)
    rig.tick()
    rig.clock.shift(timedelta(seconds=2))
    found = of(campaign)
    assert found.summary.startswith("dialling: 2 calls up, 3 due, last call placed 2 s ago")
    assert (found.calls.total, found.calls.due, found.calls.up, found.calls.ended) == (5, 3, 2, 0)


def test_a_campaign_that_is_about_to_dial_says_so(rig: Rig):
    campaign = rig.campaign(3)
    start()
    found = of(campaign)
    assert found.summary == "3 calls due and nothing in the way: the next tick dials"
    assert (codes(campaign), found.next_attempt_at) == (["ready"], timezone.now())


# The gate's own verdicts ---------------------------------------------------------------------------------------------


def test_outside_the_calling_hours(rig: Rig):
    rig.account.opens_at, rig.account.closes_at = clock_time(12), clock_time(21)
    rig.account.save()
    campaign = rig.campaign()
    rig.tick()
    (reason,) = of(campaign).reasons
    assert reason.code == "outside-calling-hours"
    assert reason.message == "outside the calling hours 12:00-21:00 Asia/Kolkata until 2026-03-02 12:00 IST"
    assert reason.until == of(campaign).next_attempt_at == timezone.now() + timedelta(minutes=30)


def test_the_trunk_is_down_and_its_error_is_for_the_operator(rig: Rig):
    campaign = rig.campaign()
    start()
    trunk_health.took_no_call(rig.trunk.pk, "503 at 10.0.0.5", timezone.now())
    (reason,) = of(campaign).reasons
    assert (reason.code, reason.detail) == ("trunk-down", f"{rig.trunk.name}: 503 at 10.0.0.5")
    assert of(campaign).summary == f"the trunk of {rig.caller_id.number} is down since 2026-03-02 11:30 IST"


def test_calls_that_leave_over_a_later_trunk_of_the_order_are_told(rig: Rig):
    second = TrunkFactory(account_sid="second")
    for place, trunk in enumerate((rig.trunk, second), start=1):
        RouteFactory(caller_id=rig.caller_id, trunk=trunk, place=place)
    rig.carrier.script = {number: ["unavailable"] for number in NUMBERS}
    campaign = rig.campaign(3)
    assert "over-another-trunk" not in codes(campaign)
    rig.tick()
    [reason] = [reason for reason in of(Campaign.objects.get()).reasons if reason.code == "over-another-trunk"]
    assert reason.message.endswith("leave over another trunk than their first, which takes none at present")
    assert reason.detail == f"{second.name} in place of {rig.trunk.name}"


def test_a_trunk_that_has_failed_lately_is_tried_by_one_call(rig: Rig):
    campaign = rig.campaign()
    start()
    trunk_health.took_no_call(rig.trunk.pk, "503", timezone.now())
    rig.clock.shift(timedelta(seconds=2))
    assert codes(campaign) == ["trunk-on-trial"]


def test_paused_and_what_is_still_up(rig: Rig):
    campaign = rig.campaign(2)
    rig.tick()
    assert of(lifecycle.pause(campaign, actor=ACTOR)).summary == "the campaign is paused; 2 calls still up"


def test_before_its_start(rig: Rig):
    campaign = rig.campaign(send_at=timezone.now() + timedelta(hours=1))
    assert of(campaign).summary == "the campaign starts 2026-03-02 12:30 IST"
    assert of(campaign).next_attempt_at == campaign.send_at


def test_an_ended_campaign_gives_the_reason_of_its_history(rig: Rig):
    campaign = rig.campaign()
    rig.tick()
    lifecycle.complete(lifecycle.pause(campaign, actor=ACTOR), actor=ACTOR)
    ended = "the campaign is completed, since 2026-03-02 11:30 IST, completed by meera"
    assert (of(campaign).summary, codes(campaign)) == (ended, ["ended"])
    assert of(campaign).next_attempt_at is None


# Processes that are not at work --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", diagnosis.NEEDED)
def test_who_makes_no_progress(rig: Rig, redis, who):
    campaign = rig.campaign()
    start()
    redis.set(f"progress:{who}", redis_time(redis) - 61)
    worker = "beat" if who == "beat" else f"the {who} worker"
    assert of(campaign).summary == f"{worker} is not at work: no progress for 61 s"
    assert codes(campaign) == [f"no-{who}"]


def test_a_campaign_that_does_not_start_for_want_of_a_worker_says_so(rig: Rig, redis):
    campaign = rig.campaign(send_at=timezone.now() + timedelta(seconds=1))
    redis.set("progress:control", redis_time(redis) - 40)
    assert of(campaign).summary.endswith("the control worker is not at work: no progress for 40 s")


def test_a_claimed_call_that_no_dialer_takes(rig: Rig, at_work):
    campaign = rig.campaign(3)
    start()
    rig.dispatch()
    assert "waiting-for-a-dialer" not in codes(campaign)
    rig.clock.shift(timedelta(seconds=40))
    at_work()
    assert of(campaign).summary.startswith("3 calls claimed, and no dialer takes them: 40 s")


def test_redis_is_away(rig: Rig, monkeypatch):
    campaign = rig.campaign()
    start()

    def away():
        raise RedisAway("refused")

    monkeypatch.setattr(liveness, "redis_client", away)
    monkeypatch.setattr(channels, "redis_client", away)
    assert codes(campaign) == ["redis-away"]


# Limits --------------------------------------------------------------------------------------------------------------


def test_all_channels_busy_names_who_has_them(rig: Rig):
    rig.account.channels = 3
    rig.account.save()
    rig.campaign(NUMBERS[:3], name="Renewals")
    rig.tick()
    campaign = rig.campaign(NUMBERS[3:6])
    start()
    (reason,) = of(campaign).reasons
    assert (reason.code, reason.message) == ("account-full", "3 of 3 channels busy, 3 by “Renewals”")
    assert of(campaign).summary == reason.message


def test_of_a_shared_trunk_its_name_its_size_and_the_calls_of_others_are_for_the_operator(rig: Rig):
    rig.trunk.channels = 3
    rig.trunk.save()
    others = CallerIdFactory(trunk=rig.trunk, account__starts_per_minute=10_000_000)
    flow = FlowFactory(account=others.account)
    own = {"caller_id": others, "caller_id_given": others.number, "flow": flow, "flow_url": "http://x/1"}
    lifecycle.create(others.account, numbers=NUMBERS[:2], now=timezone.now(), name="A secret", actor=ACTOR, **own)
    rig.tick()
    campaign = rig.campaign(NUMBERS[3:6], name="Mine")
    rig.tick()
    found = of(campaign)
    [reason] = found.reasons
    full = f"all channels of the trunk of {rig.caller_id.number} busy, 1 by this one, the others by other accounts"
    assert reason.message == full
    assert found.summary.endswith(full)
    assert reason.detail == f"3 of 3 channels of {rig.trunk.name} busy, 2 by other accounts"
    assert "secret" not in str(found)


def test_the_calls_of_a_campaign_that_was_completed_are_up_still(rig: Rig):
    rig.trunk.channels = 3
    rig.trunk.save()
    ended = rig.campaign(NUMBERS[:3], name="Renewals")
    rig.tick()
    lifecycle.complete(lifecycle.pause(ended, actor=ACTOR), actor=ACTOR)
    campaign = rig.campaign(NUMBERS[3:6])
    start()
    full = f"all channels of the trunk of {rig.caller_id.number} busy, 3 by “Renewals”"
    assert [reason.message for reason in of(campaign).reasons] == [full]


def test_a_caller_id_that_is_full(rig: Rig):
    rig.caller_id.channels = 1
    rig.caller_id.save()
    campaign = rig.campaign(2)
    rig.tick()
    (reason,) = of(campaign).reasons
    assert reason.message == f"1 of 1 channels of the caller ID {rig.caller_id.number} busy, 1 by this one"


def test_the_pace_says_when_the_next_start_is_due(rig: Rig):
    rig.account.starts_per_minute = 10
    rig.account.save()
    campaign = rig.campaign(3)
    rig.tick()
    (reason,) = of(campaign).reasons
    assert reason.code == "account-pace"
    assert re.fullmatch(r"the account's pace is 10 starts a minute: the next in [56]\.\d s", reason.message)
    assert reason.until is not None
    assert timedelta(seconds=5) < reason.until - timezone.now() <= timedelta(seconds=6)


# What the rows say ---------------------------------------------------------------------------------------------------


def test_nothing_is_due_until_the_next_retry(rig: Rig):
    campaign = rig.campaign(2, retries=1)
    rig.tick()
    end_all(rig, "busy")
    found = of(campaign)
    assert found.summary == "nothing is due: 2 calls waiting for a retry, the next 2026-03-02 11:40 IST"
    assert found.next_attempt_at == timezone.now() + timedelta(minutes=10)
    assert found.calls.waiting_for_retry == 2
    rig.clock.shift(timedelta(minutes=10))
    assert (of(campaign).calls.due, of(campaign).calls.waiting_for_retry) == (2, 0)


def test_the_next_attempt_is_not_before_the_gate_opens(rig: Rig):
    rig.account.closes_at = clock_time(11, 35)
    rig.account.save()
    campaign = rig.campaign(1, retries=1)
    rig.tick()
    end_all(rig, "busy")
    found = of(campaign)
    assert found.next_attempt_at is not None
    assert f"{found.next_attempt_at.astimezone(rig.account.zone):%d %H:%M}" == "03 00:00"


def test_a_retry_that_falls_after_the_hours_is_named_for_the_next_opening(rig: Rig):
    rig.account.opens_at, rig.account.closes_at = clock_time(10, 30), clock_time(11, 35)
    rig.account.save()
    campaign = rig.campaign([A], retries=1)
    rig.tick()
    end_all(rig, "busy")
    assert of(campaign).summary == "nothing is due: 1 call waiting for a retry, the next 2026-03-03 10:30 IST"
    (call,) = diagnosis.of_calls(list(campaign.calls.all()), of(campaign), timezone.now())
    assert call.next_attempt_at == of(campaign).next_attempt_at
    assert call.summary == (
        "rung once: busy; retry 1 at 2026-03-03 10:30 IST, due 2026-03-02 11:40 IST, but "
        "outside the calling hours 10:30-11:35 Asia/Kolkata until 2026-03-03 10:30 IST"
    )


def test_nothing_can_be_dialled_any_more_once_the_end_comes_before_the_next_opening(rig: Rig):
    rig.account.opens_at, rig.account.closes_at = clock_time(10, 30), clock_time(11, 35)
    rig.account.save()
    campaign = rig.campaign([A], retries=1, end_at=timezone.now() + timedelta(hours=9))
    rig.tick()
    end_all(rig, "busy")
    why = "the campaign's end, 2026-03-02 20:30 IST, comes before the next moment to dial, 2026-03-03 10:30 IST"
    for _ in ("while the hours are open", "and after that"):
        found = of(campaign)
        assert found.next_attempt_at is None
        assert ("past-its-end", why) in [(reason.code, reason.message) for reason in found.reasons]
        (call,) = diagnosis.of_calls(list(campaign.calls.all()), found, timezone.now())
        assert call.next_attempt_at is None
        assert why in call.summary
        rig.clock.shift(timedelta(hours=1))


def test_lost_answers_are_told(rig: Rig):
    campaign = rig.campaign(1)
    rig.tick()
    CallAttempt.objects.update(status="unknown")
    assert "unknown-attempts" in codes(campaign)


def test_more_calls_take_no_more_queries(db, at_work):
    campaign = CampaignFactory(running=True, with_retries=True)

    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            found = of(campaign)
            diagnosis.of_calls(list(campaign.calls.all()[:20]), found, timezone.now())
        return len(made)

    CallFactory.create_batch(2, campaign=campaign, retrying=True)
    CallFactory(campaign=campaign)
    CallAttemptFactory(call=CallFactory(campaign=campaign, in_progress=True), in_progress=True)
    of_few = queries()
    assert of_few < 20
    for call in CallFactory.create_batch(10, campaign=campaign, in_progress=True):
        CallAttemptFactory(call=call, in_progress=True)
    CallFactory.create_batch(10, campaign=campaign)
    assert queries() == of_few


# One call ------------------------------------------------------------------------------------------------------------


def test_a_call_tells_its_outcomes_and_its_next_retry(rig: Rig):
    campaign = rig.campaign([A], retries=3)
    rig.tick()
    end_all(rig, "busy")
    assert of_number(campaign) == "rung once: busy; retry 1 at 2026-03-02 11:40 IST"
    rig.later(minutes=10)
    end_all(rig, "busy")
    rig.later(minutes=10)
    end_all(rig, "no-answer")
    assert of_number(campaign) == "rung 3 times: busy, busy, no-answer; retry 3 at 2026-03-02 12:00 IST"


def test_a_retry_that_is_due_says_why_it_is_not_dialled(rig: Rig, at_work):
    campaign = rig.campaign([A], retries=1)
    rig.tick()
    end_all(rig, "busy")
    lifecycle.pause(campaign, actor=ACTOR)
    assert of_number(campaign) == "rung once: busy; retry 1 at 2026-03-02 11:40 IST, but the campaign is paused"
    rig.clock.shift(timedelta(minutes=11))
    at_work()
    due = "rung once: busy; retry 1 due since 2026-03-02 11:40 IST: the campaign is paused"
    assert of_number(campaign) == due


def test_a_call_that_was_not_dialled_says_what_its_campaign_waits_for(rig: Rig):
    campaign = rig.campaign([A], send_at=timezone.now() + timedelta(hours=1))
    assert of_number(campaign) == "not dialled yet: the campaign starts 2026-03-02 12:30 IST"


def test_a_call_that_is_up_and_one_whose_answer_was_lost(rig: Rig):
    campaign = rig.campaign([A])
    rig.tick()
    rig.clock.shift(timedelta(seconds=12))
    assert of_number(campaign) == "attempt 1 is up, 12 s"
    CallAttempt.objects.update(status="unknown")
    assert of_number(campaign).startswith("attempt 1 may have rung")


def test_a_call_says_whom_it_was_not_connected_to(rig: Rig):
    campaign = rig.campaign([A])
    rig.tick()
    refused = {"outcome": "failed", "rule": "paused", "reason": "the campaign is paused", "placing_at": None}
    TransferFactory(attempt=CallAttempt.objects.get(), number=B, ended_at=timezone.now(), **refused)
    assert of_number(campaign) == f"not connected to {B}: the campaign is paused; attempt 1 is up, 0 s"


def test_a_campaign_whose_flow_connects_to_people_says_so_where_rules_hold(rig: Rig):
    campaign = rig.campaign([A], flow=FlowFactory(account=rig.account, document={"steps": [{"connect": B}]}))
    start()
    assert "connects-to-people" not in codes(campaign)
    rig.account.number_gap_seconds = 60
    rig.account.save()
    assert "connects-to-people" in codes(campaign)
    rig.account.agent_numbers = [B]
    rig.account.save()
    assert "connects-to-people" not in codes(campaign)


def test_a_call_whose_number_is_connected_says_so(rig: Rig):
    campaign = rig.campaign([A, B])
    rig.tick()
    later = rig.campaign([NUMBERS[2]])
    TransferFactory(attempt=CallAttempt.objects.filter(campaign=campaign).first(), number=NUMBERS[2])
    rig.tick()
    assert "1 call held: a flow has connected somebody to their number" in of(later).summary


def test_a_call_that_is_over(rig: Rig):
    campaign = rig.campaign([A, B])
    rig.tick()
    end_all(rig, "no-answer")
    assert of_number(campaign) == "rung once: no-answer; failed: no-answer; no retry is left"


def test_a_call_that_was_never_dialled(rig: Rig):
    campaign = rig.campaign([A])
    lifecycle.delete(lifecycle.pause(campaign, actor=ACTOR), actor=ACTOR)
    assert of_number(campaign) == "failed: the campaign was deleted"
    Call.objects.update(status="canceled", end_reason="the campaign's end came first")
    assert of_number(campaign) == "never dialled: the campaign's end came first"


def test_each_attempt_comes_with_the_moves_of_its_history(rig: Rig):
    campaign = rig.campaign([A])
    rig.tick()
    rig.clock.shift(timedelta(seconds=8))
    end_all(rig, "busy")
    (one,) = diagnosis.of_calls(list(campaign.calls.all()), of(campaign), timezone.now())
    ((attempt, steps),) = one.attempts
    assert (attempt.number, [step.status for step in steps]) == (1, ["claimed", "placing", "in-progress", "busy"])
    assert steps[-1].at - steps[0].at == timedelta(seconds=8)


def test_what_was_given_back_again_and_again_never_hides_what_was_rung(db, at_work):
    call = CallFactory(retrying=True)
    CallAttemptFactory(call=call, busy=True, claimed_at=timezone.now() - timedelta(hours=2))
    for minute in range(30):
        CallAttemptFactory(
            call=call, canceled=True, number=2, claimed_at=timezone.now() - timedelta(minutes=60 - minute)
        )
    (one,) = diagnosis.of_calls([call], of(call.campaign), timezone.now())
    assert (len(one.attempts), one.attempts[0][0].status) == (diagnosis.MOST_ATTEMPTS, "busy")
    assert one.summary.startswith("rung once: busy")


def test_no_call_before_the_end_by_the_rules_for_the_people(rig: Rig):
    """Half past eleven in India is one in the morning in New York: its hours begin after the end."""
    rig.account.rules, rig.account.allowed_countries = ["us-live"], ["US"]
    rig.account.save()
    campaign = rig.campaign(["+12125550123"], end_at=timezone.now() + timedelta(hours=2))
    found = diagnosis.of_campaign(campaign, timezone.now())
    assert "nothing-fits" in [reason.code for reason in found.reasons]
    assert "none of 1 can be called before 2026-03-02 13:30 IST" in found.summary
    assert found.next_attempt_at is None
    later = rig.campaign(["+12125550124"], end_at=timezone.now() + timedelta(hours=24))
    assert "nothing-fits" not in [reason.code for reason in diagnosis.of_campaign(later, timezone.now()).reasons]


def test_no_call_before_the_end_by_a_cap_on_the_numbers(rig: Rig):
    """Called a moment ago, and once a day at the most."""
    rig.account.number_caps = ["1 attempt in 1 day"]
    rig.account.save()
    CallAttemptFactory(completed=True, call__campaign__account=rig.account, call__number=NUMBERS[0], trunk=rig.trunk)
    CallAttempt.objects.update(account=rig.account, callee=NUMBERS[0], placing_at=timezone.now())
    campaign = rig.campaign([NUMBERS[0]], end_at=timezone.now() + timedelta(hours=2))
    found = diagnosis.of_campaign(campaign, timezone.now())
    assert "nothing-fits" in [reason.code for reason in found.reasons]
    assert found.next_attempt_at is None
    other = rig.campaign([NUMBERS[1]], end_at=timezone.now() + timedelta(hours=2))
    assert "nothing-fits" not in [reason.code for reason in diagnosis.of_campaign(other, timezone.now()).reasons]


def test_numbers_that_rules_kept_from_being_dialed_are_counted_by_the_rule(rig: Rig, monkeypatch):
    campaign = rig.campaign(7)
    listed, gone = (list(campaign.calls.values_list("pk", flat=True)[part]) for part in (slice(3), slice(3, 5)))
    for keys, rule, status in ((listed, "do-not-call", "failed"), (gone, "contact-deleted", "canceled")):
        ended = {"status": status, "rule": rule, "ended_at": timezone.now(), "end_reason": "a rule"}
        Call.objects.filter(pk__in=keys).update(**ended)
    [reason] = [reason for reason in of(campaign).reasons if reason.code == "never-dialed"]
    assert reason.message == "5 numbers never dialed: 3 on the do-not-call list, 2 of contacts that were deleted"
    monkeypatch.setattr(limits, "MOST_COUNTED", 4)
    [reason] = [reason for reason in of(campaign).reasons if reason.code == "never-dialed"]
    assert reason.message.startswith("more than 4 numbers never dialed: on the do-not-call list, of contacts")


def test_every_rule_that_ends_a_call_has_words():
    ended_by = {number_gate.NOT_CALLED, number_gate.NO_CONSENT, number_gate.NO_COMMON_HOURS, number_gate.QUIET}
    assert limits.NEVER_BECAUSE.keys() == ended_by | removal.REASONS.keys() | {call_states.DO_NOT_CALL}
