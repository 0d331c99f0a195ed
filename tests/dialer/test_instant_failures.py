"""A run of calls that fail at once rests the caller ID, and costs no attempts beyond the run."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import CallerId
from campaigns_project import readiness
from dialer import caller_id_health, diagnosis, inbox
from dialer.models import CallAttempt, CallerIdHealth
from tests.conftest import NUMBERS, Rig, states
from tests.factories import AccountFactory, CallerIdFactory, CallerIdHealthFactory, CallFactory, CampaignFactory


def fail(rig: Rig, *numbers: str) -> None:
    rig.carrier.script |= {number: ["failed"] for number in numbers}


def attempts_made(campaign) -> int:
    return sum(campaign.calls.values_list("attempts_made", flat=True))


def seconds(rig: Rig, count: int, step: int = 1) -> None:
    for _ in range(count // step):
        rig.later(seconds=step)


def set_channels(rig: Rig, channels: int) -> None:
    rig.account.channels = channels
    rig.account.save()


def tell(status: str, *numbers: str) -> None:
    up = CallAttempt.objects.filter(status="in-progress", callee__in=numbers).values_list("pk", flat=True)
    inbox.append("simulated", [(pk, {"status": status}) for pk in up])


def test_a_carrier_that_fails_every_call_costs_ten_attempts_and_a_few_tries(rig: Rig):
    fail(rig, *NUMBERS[:100])
    set_channels(rig, 5)
    campaign = rig.campaign(100, retries=3)
    seconds(rig, 600, step=3)
    assert attempts_made(campaign) <= 10 + 10
    assert Counter(states(campaign).values())["failed"] == 0
    rig.carrier.script = {}
    rig.later(minutes=5)
    seconds(rig, 30)
    rig.later(minutes=10)
    seconds(rig, 5)
    assert set(states(campaign).values()) == {"completed"}
    assert CallerIdHealth.objects.get().failures == 0


def test_it_says_so(rig: Rig):
    fail(rig, *NUMBERS[:20])
    campaign = rig.campaign(20, retries=3)
    rig.tick()
    told = diagnosis.of_campaign(campaign, timezone.now()).reasons[0]
    number = rig.caller_id.number
    assert (told.code, told.detail) == ("caller-id-down", f"{rig.trunk.name}: 10 calls in a row failed within 2 s")
    assert told.message.startswith(f"calls from {number} fail at once since ")
    warnings = [found.text for found in readiness.warnings()]
    assert warnings == [f"calls from {number} over the trunk {rig.trunk.name} fail at once"]


def test_what_is_claimed_and_not_placed_yet_is_given_back(rig: Rig):
    fail(rig, *NUMBERS[:10])
    set_channels(rig, 10)
    campaign = rig.campaign(20)
    rig.tick()
    assert attempts_made(campaign) == 10
    CallerIdHealth.objects.update(resting_until=None, failures=0)
    set_channels(rig, 20)
    rig.dispatch()
    CallerIdHealth.objects.update(resting_until=timezone.now() + timedelta(seconds=9), failures=1)
    rig.dial()
    assert (attempts_made(campaign), len(rig.rings())) == (10, 10)


@pytest.mark.parametrize("other", ["busy", "no-answer", "completed"])
def test_any_other_outcome_ends_the_run(rig: Rig, other):
    fail(rig, *NUMBERS[:30])
    rig.carrier.script |= {number: [other] for number in (NUMBERS[5], NUMBERS[14], NUMBERS[23])}
    set_channels(rig, 1)
    campaign = rig.campaign(30)
    seconds(rig, 40)
    assert attempts_made(campaign) == 30
    assert CallerIdHealth.objects.get().failures == 0


def test_a_few_numbers_that_fail_again_and_again_are_no_run(rig: Rig):
    fail(rig, *NUMBERS[:9])
    campaign = rig.campaign(9, retries=3)
    for _ in range(4):
        rig.later(minutes=10)
    assert attempts_made(campaign) == 36


def test_calls_that_fail_after_a_while_are_no_run(rig: Rig):
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:30]}
    rig.campaign(30)
    rig.tick()
    rig.clock.shift(3)
    tell("failed", *NUMBERS[:30])
    rig.settle()
    assert not CallerIdHealth.objects.exists()


def test_dead_numbers_beside_phones_that_ring_are_no_run(rig: Rig):
    """In the first seconds of a campaign nothing but the dead numbers has ended."""
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:5]}
    fail(rig, *NUMBERS[5:20])
    set_channels(rig, 6)
    campaign = rig.campaign(20)
    seconds(rig, 20)
    assert attempts_made(campaign) == 15
    assert CallerIdHealth.objects.get().failures == 0


def test_a_conversation_that_began_before_the_run_says_nothing_about_it(rig: Rig):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    fail(rig, *NUMBERS[1:40])
    set_channels(rig, 1)
    rig.campaign(40)
    rig.tick()
    set_channels(rig, 2)
    seconds(rig, 6)
    tell("completed", NUMBERS[0])
    rig.settle()
    seconds(rig, 2)
    assert CallerIdHealth.objects.get().is_failing


def test_that_calls_are_taken_does_not_end_a_rest_for_calls_that_fail(rig: Rig):
    health = CallerIdHealthFactory(caller_id=rig.caller_id, down=True, failing_numbers=NUMBERS[:10])
    caller_id_health.took_a_call(CallerId.objects.select_related("health").get(pk=rig.caller_id.pk), rig.trunk.pk)
    health.refresh_from_db()
    assert (health.refused_numbers, health.failures) == ([], 3)


def test_an_answer_ends_the_rest(rig: Rig):
    fail(rig, *NUMBERS[:10])
    rig.carrier.script |= {number: ["silent"] for number in NUMBERS[10:15]}
    set_channels(rig, 10)
    rig.campaign(15)
    rig.tick()
    assert CallerIdHealth.objects.get().is_failing
    rig.later(seconds=1)
    tell("in-progress", *NUMBERS[10:15])
    rig.settle()
    assert CallerIdHealth.objects.get().failures == 0


def test_one_accounts_dead_list_holds_up_nobody_else_on_the_trunk(rig: Rig):
    fail(rig, *NUMBERS[:100])
    rig.campaign(100)
    seconds(rig, 5)
    other = CallerIdFactory(account=AccountFactory(starts_per_minute=10_000_000), trunk=rig.trunk)
    campaign = CampaignFactory(account=other.account, caller_id=other, running=True)
    CallFactory(campaign=campaign, number=NUMBERS[200])
    rig.later(seconds=1)
    assert states(campaign) == {NUMBERS[200]: "completed"}
