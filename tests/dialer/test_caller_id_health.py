"""Refusals that may be about our side rest the caller ID and cost no call; a number's own refusal fails its call."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Call
from dialer import diagnosis
from dialer.models import CallAttempt, CallerIdHealth
from tests.conftest import NUMBERS, Rig, states
from tests.factories import CallerIdFactory

KYC = "HTTP 403: not yet KYC compliant"


def refuse(rig: Rig, *numbers: str, entries: tuple[str, ...] = ("account-refused",)) -> None:
    rig.carrier.script |= {number: list(entries) for number in numbers}


def one_a_tick(rig: Rig, ticks: int, seconds: int = 1) -> None:
    """A pace of one call a tick: the batches are as small as they can be."""
    for _ in range(ticks):
        rig.account.channels = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED).count() + 1
        rig.account.save()
        rig.later(seconds=seconds)


def asked(rig: Rig) -> int:
    return CallAttempt.objects.exclude(placing_at=None).count()


def test_five_taken_and_then_refused_leaves_the_others_waiting_and_the_caller_id_resting(rig: Rig):
    numbers = NUMBERS[:60]
    refuse(rig, *numbers[5:])
    campaign = rig.campaign(numbers)
    for _ in range(120):
        rig.later(seconds=1)
    assert Counter(states(campaign).values()) == {"completed": 5, "retrying": 55}
    health = CallerIdHealth.objects.get()
    assert (health.last_error, health.down_since is not None) == (KYC, True)
    assert asked(rig) < 130, "the carrier is not flooded: two batches, and then one call at a time"
    rig.carrier.script = {}
    for _ in range(6):
        rig.later(seconds=61)
    assert set(states(campaign).values()) == {"completed"}
    assert CallerIdHealth.objects.get().failures == 0


def test_small_batches_rest_after_three_refusals(rig: Rig):
    numbers = NUMBERS[:60]
    refuse(rig, *numbers[5:])
    campaign = rig.campaign(numbers)
    one_a_tick(rig, 8)
    assert asked(rig) == 8
    assert CallerIdHealth.objects.get().failures == 1
    one_a_tick(rig, 100, seconds=3)
    assert set(states(campaign).values()) == {"completed", "created", "retrying"}
    assert asked(rig) < 8 + 15


def test_the_rest_is_told_with_the_carriers_words_for_the_operator(rig: Rig):
    refuse(rig, *NUMBERS[:9])
    campaign = rig.campaign(9)
    rig.tick()
    told = diagnosis.of_campaign(campaign, timezone.now())
    assert told.reasons[0].code == "caller-id-down"
    assert rig.caller_id.number in told.summary
    assert told.reasons[0].detail == f"{rig.trunk.name}: {KYC}"


def test_one_numbers_own_refusal_fails_that_number_at_once(rig: Rig):
    refuse(rig, NUMBERS[0], entries=("refused",))
    campaign = rig.campaign(1, retries=3)
    rig.tick()
    assert states(campaign) == {NUMBERS[0]: "failed"}
    assert not CallerIdHealth.objects.exists()


def test_a_number_that_is_refused_again_while_others_are_taken_has_failed(rig: Rig):
    refuse(rig, NUMBERS[0])
    campaign = rig.campaign(3)
    rig.tick()
    assert states(campaign)[NUMBERS[0]] == "retrying"
    rig.campaign([NUMBERS[5]])
    rig.later(seconds=9)
    assert asked(rig) == 4, "the refused number waits"
    rig.later(seconds=1)
    assert states(campaign)[NUMBERS[0]] == "failed"
    call = Call.objects.get(number=NUMBERS[0])
    assert (call.end_reason, call.http_status, call.was_placed) == (KYC, 403, False)


@pytest.mark.parametrize("count", [1, 2])
def test_a_campaign_of_wrong_numbers_alone_ends(rig: Rig, count):
    refuse(rig, *NUMBERS[:count])
    campaign = rig.campaign(count)
    for _ in range(40):
        rig.later(seconds=1)
    assert set(states(campaign).values()) == {"failed"}
    assert asked(rig) == 3 * count
    campaign.refresh_from_db()
    assert (campaign.status, campaign.failure_http_status) == ("failed", 403)


def test_wrong_numbers_at_the_head_do_not_keep_the_others_waiting(rig: Rig):
    refuse(rig, *NUMBERS[:5])
    campaign = rig.campaign(40)
    one_a_tick(rig, 10)
    rig.account.channels = 60
    rig.account.save()
    for _ in range(600):
        rig.later(seconds=1)
        if not Call.objects.exclude(status__in=Call.ENDED).exists():
            break
    assert Counter(states(campaign).values()) == {"completed": 35, "failed": 5}


def test_a_few_wrong_numbers_among_many_do_not_rest_the_caller_id(rig: Rig):
    refuse(rig, *NUMBERS[:50:10])
    rig.campaign(50)
    rig.tick()
    rig.later(seconds=11)
    assert CallerIdHealth.objects.get().failures == 0


def test_a_caller_id_that_is_not_valid_holds_up_no_other_one_on_its_trunk(rig: Rig):
    """And the calls that the others make do not make its refusals look like the numbers' own."""
    other = CallerIdFactory(account=rig.account, trunk=rig.trunk)
    refuse(rig, *NUMBERS[:20])
    wrong = rig.campaign(NUMBERS[:20])
    right = rig.campaign(NUMBERS[20:40], caller_id=other, caller_id_given=other.number)
    for _ in range(60):
        rig.later(seconds=1)
    assert set(states(right).values()) == {"completed"}
    assert set(states(wrong).values()) == {"retrying"}


def test_a_refused_retry_keeps_its_attempts(rig: Rig):
    refuse(rig, *NUMBERS[:5], entries=("busy", "account-refused", "account-refused", "completed"))
    campaign = rig.campaign(5, retries=1)
    rig.tick()
    rig.later(minutes=10)
    assert {(call.status, call.attempts_made) for call in campaign.calls.all()} == {("retrying", 1)}
    for _ in range(100):
        rig.later(seconds=4)
    assert set(states(campaign).values()) == {"completed"}


def test_a_call_that_waits_after_refusals_ends_with_its_campaign(rig: Rig):
    refuse(rig, *NUMBERS[:9])
    campaign = rig.campaign(9, end_at=timezone.now() + timedelta(seconds=30))
    for _ in range(31):
        rig.later(seconds=1)
    assert set(states(campaign).values()) <= {"failed", "canceled"}
    campaign.refresh_from_db()
    assert not campaign.is_open
