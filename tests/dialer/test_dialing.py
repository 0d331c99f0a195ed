"""Placing calls: the intent is committed first, a batch delivered twice rings once, and no reply is guessed."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts.models import Account, Trunk
from campaigns import lifecycle, schedule
from campaigns.models import Call
from dialer import dialing, holds, outcomes, trunk_health
from dialer.attempt_ends import Ended
from dialer.carriers.base import TooLate
from dialer.carriers.simulated import SimulatedCarrier
from dialer.models import CallAttempt, TrunkHealth
from tests.conftest import NUMBERS, leases, states
from tests.factories import ACTOR, CallerIdFactory, TrunkFactory

A, B = NUMBERS[:2]


def claim(rig, *numbers, **columns):
    """Claim the calls of a new campaign. Returns it and the ids of the attempts, which are not dialled yet."""
    campaign = rig.campaign(list(numbers), **columns)
    schedule.start_due(timezone.now())
    rig.dispatch()
    return campaign, list(CallAttempt.objects.filter(campaign=campaign).values_list("id", flat=True))


def attempt() -> CallAttempt:
    return CallAttempt.objects.select_related("call").get()


def test_the_same_batch_delivered_twice_rings_once(rig):
    _, ids = claim(rig, A, B)
    dialing.dial(ids)
    dialing.dial(ids)
    assert sorted(rig.rings()) == [A, B]


def test_while_calls_may_be_missing_after_a_restore_what_was_claimed_is_left_as_it_is(rig):
    _, ids = claim(rig, A)
    holds.hold(holds.Because.RESTORED, "restored", actor=ACTOR, now=timezone.now(), missing_since=timezone.now())
    dialing.dial(ids)
    assert rig.rings() == []
    assert attempt().status == "claimed"


def test_a_batch_that_two_workers_loaded_at_once_rings_once(rig, monkeypatch):
    """Both have read the attempts as claimed before either moves them."""
    _, ids = claim(rig, A)
    loaded = dialing._claimed(ids, timezone.now())
    monkeypatch.setattr(dialing, "_claimed", lambda *_: loaded)
    dialing.dial(ids)
    dialing.dial(ids)
    assert rig.rings() == [A]


def test_the_intent_is_committed_before_the_carrier_is_asked(rig, monkeypatch):
    _, ids = claim(rig, A)
    seen: list[str] = []

    def place(requests):
        seen.extend(CallAttempt.objects.values_list("status", flat=True))
        raise ConnectionError("the worker dies here")

    monkeypatch.setattr(rig.carrier, "place", place)
    with pytest.raises(ConnectionError):
        dialing.dial(ids)
    assert seen == ["placing"]
    assert attempt().status == "placing"


def test_the_attempts_id_travels_in_the_callback_address(rig):
    _, ids = claim(rig, A)
    dialing.dial(ids)
    assert f"/carrier-events/simulated/{ids[0].hex}?token=" in rig.carrier.rings[0].callback_url


def test_the_custom_field_reaches_the_carrier_as_it_is(rig):
    _, ids = claim(rig, A, custom_field='{"order": 7}')
    dialing.dial(ids)
    assert rig.carrier.rings[0].custom_field == '{"order": 7}'


def test_a_pause_between_claim_and_dial_rings_nobody_and_costs_no_attempt(rig):
    campaign, ids = claim(rig, A)
    lifecycle.pause(campaign, actor=ACTOR)
    dialing.dial(ids)
    assert rig.rings() == []
    assert attempt().status == "canceled"
    assert (attempt().call.status, attempt().call.attempts_made) == ("created", 0)
    assert leases(rig.account) == 0
    lifecycle.resume(campaign, actor=ACTOR)
    rig.tick()
    assert rig.rings() == [A]


def test_the_end_of_the_campaign_between_claim_and_dial_rings_nobody(rig):
    _, ids = claim(rig, A, end_at=timezone.now() + timedelta(seconds=1))
    rig.clock.shift(1)
    dialing.dial(ids)
    assert rig.rings() == []
    assert attempt().call.status == "canceled"


def test_the_end_of_the_calling_hours_between_claim_and_dial_rings_nobody(rig):
    Account.objects.update(opens_at=time(10, 30), closes_at=time(21))
    rig.clock.move_to(datetime(2026, 3, 2, 20, 59, 59, tzinfo=ZoneInfo("Asia/Kolkata")))
    _, ids = claim(rig, A)
    rig.clock.shift(1)
    dialing.dial(ids)
    assert rig.rings() == []
    assert attempt().call.status == "created"


def test_a_request_may_not_be_sent_once_the_calling_hours_are_over(rig):
    Account.objects.update(opens_at=time(10, 30), closes_at=time(21))
    rig.clock.move_to(datetime(2026, 3, 2, 20, 59, 57, tzinfo=ZoneInfo("Asia/Kolkata")))
    _, ids = claim(rig, A)
    dialing.dial(ids)
    assert rig.carrier.rings[0].ask_before == datetime(2026, 3, 2, 20, 59, 59, tzinfo=ZoneInfo("Asia/Kolkata"))


def test_a_request_may_not_be_sent_once_the_campaigns_end_has_come(rig):
    _, ids = claim(rig, A, end_at=timezone.now() + timedelta(seconds=2.5))
    dialing.dial(ids)
    assert rig.carrier.rings[0].ask_before == timezone.now() + timedelta(seconds=2)


def test_a_request_that_was_not_sent_in_time_costs_no_attempt_and_says_nothing_of_the_trunk(rig, monkeypatch):
    _, ids = claim(rig, A)
    monkeypatch.setattr(
        SimulatedCarrier, "place", lambda _, requests: {request.attempt_id: TooLate() for request in requests}
    )
    dialing.dial(ids)
    assert (attempt().status, attempt().call.status) == ("canceled", "created")
    assert not TrunkHealth.objects.exists()


def test_a_claim_that_waited_for_a_dialer_is_given_back_so_that_the_pace_is_kept(rig):
    _, ids = claim(rig, A)
    rig.clock.shift(11)
    dialing.dial(ids)
    assert rig.rings() == []
    assert (attempt().status, attempt().call.status) == ("canceled", "created")
    rig.tick()
    assert rig.rings() == [A]


def test_a_slow_trunk_does_not_make_another_one_dial_late(rig, monkeypatch):
    """Both are in one batch; while the first is silent for half a minute the second's claims grow old."""
    other = CallerIdFactory(account=rig.account, trunk=TrunkFactory(api_key="other"))
    rig.campaign([A])
    rig.campaign([B], caller_id=other, caller_id_given=other.number)
    schedule.start_due(timezone.now())
    rig.dispatch()
    place = SimulatedCarrier.place

    def slow(carrier, requests):
        replies = place(carrier, requests)
        rig.clock.shift(31)
        return replies

    monkeypatch.setattr(SimulatedCarrier, "place", slow)
    dialing.dial(list(CallAttempt.objects.order_by("id").values_list("id", flat=True)))
    assert sorted(CallAttempt.objects.values_list("status", flat=True)) == ["canceled", "in-progress"]


def test_a_call_that_was_taken_for_an_attempt_given_back_meanwhile_is_hung_up(rig, monkeypatch):
    """This process was away for so long that recovery had to believe the carrier's "no such call"."""
    _, ids = claim(rig, A)
    place = rig.carrier.place
    hung_up: list[str] = []

    def away(requests):
        outcomes.end([Ended(ids[0], "canceled")], timezone.now())
        return place(requests)

    monkeypatch.setattr(rig.carrier, "place", away)
    monkeypatch.setattr(rig.carrier, "hang_up", hung_up.extend)
    dialing.dial(ids)
    assert hung_up == [ids[0].hex]


def test_a_trunk_whose_token_cannot_be_read_any_more_costs_no_attempt_and_no_other_trunk(rig, settings):
    sick = CallerIdFactory(account=rig.account, trunk=TrunkFactory(api_token="secret"))
    settings.SECRET_KEY = "another key"
    campaign = rig.campaign([A], caller_id=sick, caller_id_given=sick.number)
    well = rig.campaign([B])
    rig.tick()
    assert states(campaign) == {A: "created"}
    assert states(well) == {B: "completed"}
    assert "API token can't be read" in TrunkHealth.objects.get(trunk=sick.trunk).last_error
    rig.recover()


def test_a_refused_call_has_failed_and_is_not_tried_again(rig):
    rig.carrier.script = {A: ["refused"]}
    _, ids = claim(rig, A, retries=3)
    dialing.dial(ids)
    assert (attempt().status, attempt().http_status) == ("failed", 403)
    assert (attempt().call.status, attempt().call.was_placed) == ("failed", False)
    assert leases(rig.account) == 0


def test_an_unavailable_trunk_costs_no_attempt_and_rests(rig):
    rig.carrier.script = {A: ["unavailable", "completed"]}
    _, ids = claim(rig, A)
    dialing.dial(ids)
    call = Call.objects.get()
    assert (call.status, call.attempts_made, call.http_status) == ("created", 0, 503)
    assert leases(rig.account) == 0
    assert rig.dispatch() == 0, "the trunk rests"
    rig.later(seconds=1)
    call.refresh_from_db()
    assert (call.status, call.attempts_made) == ("completed", 1)
    assert TrunkHealth.objects.get().failures == 0


def test_a_trunk_that_stays_down_is_tried_by_one_call_at_a_time_after_ever_longer_rests(rig):
    numbers = NUMBERS[:20]
    rig.carrier.script = {number: ["unavailable"] for number in numbers}
    _, ids = claim(rig, *numbers)
    dialing.dial(ids)
    tried = []
    for _ in range(130):
        before = CallAttempt.objects.count()
        rig.later(seconds=1)
        tried.append(CallAttempt.objects.count() - before)
    assert max(tried) == 1
    assert [second for second, count in enumerate(tried) if count] == [0, 2, 6, 14, 30, 62, 122]


def test_batches_that_failed_side_by_side_count_as_one_failure_of_the_trunk(rig):
    trunk_health.took_no_call(rig.trunk.pk, "HTTP 503", timezone.now())
    trunk_health.took_no_call(rig.trunk.pk, "HTTP 503", timezone.now())
    health = TrunkHealth.objects.get()
    assert (health.failures, health.resting_until) == (1, timezone.now() + timedelta(seconds=1))


def test_a_call_says_nothing_of_a_failure_that_came_after_it_was_asked_for(rig):
    """The batch was on its way when another one found the trunk down."""
    asked_before = Trunk.objects.select_related("health").get(pk=rig.trunk.pk)
    trunk_health.took_no_call(rig.trunk.pk, "HTTP 503", timezone.now())
    trunk_health.took_a_call(asked_before)
    assert TrunkHealth.objects.get().failures == 1
    trunk_health.took_a_call(Trunk.objects.get(pk=rig.trunk.pk))
    assert TrunkHealth.objects.get().failures == 0


def test_a_batch_of_two_trunks_goes_out_over_both(rig):
    """No such batch is sent, but a message is only a hint."""
    other = CallerIdFactory(account=rig.account, trunk=TrunkFactory(carrier="simulated"))
    _, first = claim(rig, A)
    _, second = claim(rig, B, caller_id=other)
    dialing.dial([*first, *second])
    assert set(CallAttempt.objects.values_list("trunk", "status")) == {
        (rig.trunk.pk, "in-progress"),
        (other.trunk_id, "in-progress"),
    }


@pytest.mark.parametrize("reply", ["lost-before-ring", "lost-after-ring"])
def test_after_a_lost_reply_nothing_is_dialled_before_the_carrier_has_been_asked(rig, reply):
    rig.carrier.script = {A: [reply, "completed"]}
    claim(rig, A)
    rig.dial()
    for _ in range(5):
        rig.later(seconds=1)
    assert attempt().status == "unknown"
    assert len(rig.rings()) == (reply == "lost-after-ring")
    assert leases(rig.account) == 1


def test_a_rule_for_the_people_lets_a_phone_ring_longer_than_the_account_says(rig):
    Account.objects.update(ring_timeout=5, rules=["uk"])
    rig.campaign(1)
    rig.tick()
    assert [ring.ring_timeout for ring in rig.carrier.rings] == [15]
