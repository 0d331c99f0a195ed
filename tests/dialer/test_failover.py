"""A caller ID with several trunks: calls leave over the first that takes them, and nobody is rung over two."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from accounts.models import Route
from core.redis_client import redis_client
from dialer import caller_id_health, failover
from dialer.caller_id_health import RefusedCall
from dialer.carriers import carrier_of
from dialer.carriers.base import Refused
from dialer.channels import Scope
from dialer.models import CallAttempt, CallerIdHealth, TrunkHealth
from tests.conftest import NUMBERS, states
from tests.factories import CallerIdFactory, TrunkFactory

A, B, C, D = NUMBERS[:4]


@pytest.fixture
def second(rig):
    """The second trunk of the rig's caller ID."""
    trunk = TrunkFactory(account_sid="second")
    for place, each in enumerate((rig.trunk, trunk), start=1):
        Route.objects.create(caller_id=rig.caller_id, trunk=each, place=place)
    return trunk


def used(rig):
    rig.caller_id.refresh_from_db()
    return rig.caller_id.trunk


def over(trunk):
    """The last digits of the numbers of the attempts over a trunk, with their statuses."""
    attempts = CallAttempt.objects.filter(trunk=trunk).order_by("callee", "pk")
    return [f"{attempt.callee[-1]} {attempt.status}" for attempt in attempts]


def rung(trunk):
    return [ring.number for ring in simulated(trunk).rings]


def simulated(trunk) -> Any:
    return carrier_of(trunk)


def test_the_next_trunk_takes_the_calls_that_the_first_does_not(rig, second):
    rig.carrier.script = {number: ["unavailable"] for number in NUMBERS[:3]}
    campaign = rig.campaign(3)
    rig.tick()
    assert used(rig) == second
    rig.tick()
    assert states(campaign) == dict.fromkeys(NUMBERS[:3], "completed")
    assert over(rig.trunk) == ["0 canceled", "1 canceled", "2 canceled"]
    assert (rung(rig.trunk), sorted(rung(second))) == ([], NUMBERS[:3])


def test_refusals_of_our_account_lead_to_the_next_trunk_and_fail_nobody(rig, second):
    rig.carrier.script = {number: ["account-refused"] for number in NUMBERS[:5]}
    campaign = rig.campaign(5)
    rig.tick()
    assert used(rig) == second
    rig.later(seconds=11)
    rig.tick()
    assert states(campaign) == dict.fromkeys(NUMBERS[:5], "completed")
    assert sorted(rung(second)) == NUMBERS[:5]


def test_a_call_whose_reply_was_lost_goes_to_no_other_trunk(rig, second):
    rig.carrier.script = {A: ["lost-after-ring"], B: ["unavailable"]}
    rig.campaign(2)
    rig.tick()
    rig.tick()
    assert used(rig) == second
    assert over(rig.trunk) == ["0 unknown", "1 canceled"]
    assert rung(second) == [B]
    rig.later(seconds=40)
    rig.recover()
    assert (over(rig.trunk), rung(second)) == (["0 in-progress", "1 canceled"], [B])


def test_with_no_trunk_that_takes_calls_they_wait(rig, second):
    simulated(second).script = rig.carrier.script = {A: ["unavailable"]}
    campaign = rig.campaign(1)
    for _ in range(4):
        rig.tick()
    assert (states(campaign), over(rig.trunk), over(second)) == ({A: "created"}, ["0 canceled"], ["0 canceled"])


def test_one_call_tries_the_first_trunk_again_and_then_all_leave_over_it(rig, second):
    rig.carrier.script = {A: ["unavailable"]}
    rig.campaign(1)
    rig.tick()
    rig.tick()
    rig.clock.shift(2)
    rig.recover()
    assert used(rig) == rig.trunk
    rig.carrier.script = {}
    campaign = rig.campaign([B, C, D])
    rig.tick()
    assert len(rung(rig.trunk)) == 1
    rig.tick()
    assert states(campaign) == dict.fromkeys([B, C, D], "completed")
    assert (sorted(rung(rig.trunk)), rung(second)) == ([B, C, D], [A])


def test_a_first_trunk_that_still_refuses_our_account_costs_one_refusal_at_a_time(rig, second):
    rig.carrier.script = {number: ["account-refused"] for number in NUMBERS[:9]}
    rig.campaign(3)
    rig.tick()
    for number in NUMBERS[3:6]:
        rig.clock.shift(61)
        rig.recover()
        campaign = rig.campaign([number])
        rig.tick()
        assert used(rig) == second
        rig.later(seconds=11)
        rig.tick()
        assert states(campaign) == {number: "completed"}
    assert not CallAttempt.objects.filter(status="failed").exists()
    assert rung(rig.trunk) == []


def test_replies_of_the_trunk_that_was_left_say_nothing_of_the_present_one(rig, second):
    rig.carrier.script = {A: ["unavailable"]}
    rig.campaign(1)
    rig.tick()
    assert used(rig) == second
    refusals = [RefusedCall(CallAttempt().pk, 0, number, Refused("no", 403)) for number in NUMBERS[:5]]
    ends = caller_id_health.refused(rig.caller_id, rig.trunk.pk, refusals, rig.account.created_at, taken=0)
    assert {end.outcome for end in ends} == {"canceled"}
    assert CallerIdHealth.objects.get().refused_numbers == []
    caller_id_health.refused(rig.caller_id, second.pk, refusals, rig.account.created_at, taken=0)
    used(rig)
    caller_id_health.took_a_call(rig.caller_id, rig.trunk.pk)
    assert CallerIdHealth.objects.get().failures == 1


def test_what_is_known_of_a_caller_id_over_a_trunk_is_taken_up_again_with_it(rig, second):
    rig.carrier.script = {number: ["account-refused"] for number in NUMBERS[:3]}
    rig.campaign(3)
    rig.tick()
    assert CallerIdHealth.objects.get().failures == 0
    rig.clock.shift(61)
    rig.recover()
    health = CallerIdHealth.objects.get()
    assert (used(rig), health.failures, sorted(health.refused_numbers)) == (rig.trunk, 1, NUMBERS[:3])


def test_calls_that_fail_at_once_lead_to_the_next_trunk(rig, second, settings):
    settings.INSTANT_FAILURES_BEFORE_REST = 3
    rig.carrier.script = {number: ["failed"] for number in NUMBERS[:3]}
    rig.campaign(3)
    rig.tick()
    rig.recover()
    assert used(rig) == second


def test_a_channel_is_one_of_the_trunk_that_is_used(rig, second):
    second.channels = 1
    second.save()
    simulated(second).script = {number: ["silent"] for number in NUMBERS[:3]}
    rig.carrier.script = {number: ["unavailable"] for number in NUMBERS[:3]}
    rig.campaign(3)
    rig.tick()
    rig.tick()
    assert len(rung(second)) == 1
    assert redis_client().zcard(Scope("trunk", second.pk, 1).key) == 1
    assert redis_client().zcard(Scope("trunk", rig.trunk.pk, 1).key) == 0


def test_a_caller_id_with_one_trunk_stays_with_it(rig):
    rig.carrier.script = {A: ["unavailable"]}
    rig.campaign(1)
    rig.tick()
    assert failover.choose(rig.account.created_at) == 0
    assert used(rig) == rig.trunk


def test_only_caller_ids_with_the_trunk_in_their_order_are_moved(rig, second):
    other = CallerIdFactory(account=rig.account, trunk=rig.trunk)
    TrunkHealth.objects.create(trunk=rig.trunk, failures=1, resting_until="2099-01-01T00:00:00Z")
    with capture_logs() as logs:
        rig.recover()
    other.refresh_from_db()
    assert (used(rig), other.trunk) == (second, rig.trunk)
    [changed] = [log for log in logs if log["event"] == "caller_id_changed_trunk"]
    assert (changed["was"], changed["now"]) == (rig.trunk.name, second.name)


def test_an_order_without_the_present_trunk_leads_to_its_first(rig, second):
    Route.objects.filter(trunk=rig.trunk).delete()
    rig.recover()
    assert used(rig) == second
