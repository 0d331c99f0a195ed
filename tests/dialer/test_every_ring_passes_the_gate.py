"""Test calls and the console's rings are campaigns like any other: what comes to hold is asked at both moments."""

from collections.abc import Callable
from datetime import time, timedelta

import pytest
from django.utils import timezone

from campaigns import schedule
from campaigns.models import Campaign
from console.new_campaign import trial
from dialer import check_calls
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig
from tests.factories import ACTOR, CallAttemptFactory, DoNotCallFactory, TransferFactory

PHONE = NUMBERS[0]


def call_over_a_trunk(rig: Rig) -> Campaign:
    return check_calls._campaign(rig.caller_id, PHONE, f"http://x.test/start/{rig.flow.flow_id}", ACTOR)


def console_ring(rig: Rig) -> Campaign:
    columns = {"caller_id": rig.caller_id, "caller_id_given": rig.caller_id.number, "flow": rig.flow, "flow_url": "x"}
    return trial.ring(rig.account, columns, PHONE, actor=ACTOR, now=timezone.now())


def close(rig: Rig) -> None:
    rig.account.closes_at = time(11)
    rig.account.save()


def listed(rig: Rig) -> None:
    DoNotCallFactory(account=rig.account, number=PHONE)


def capped(rig: Rig) -> None:
    rig.account.number_caps = ["1 attempt in 1 hour"]
    rig.account.save()
    earlier = CallAttemptFactory(call__number=PHONE, busy=True, trunk=rig.trunk)
    at = timezone.now() - timedelta(minutes=1)
    CallAttempt.objects.filter(pk=earlier.pk).update(account=rig.account, callee=PHONE, placing_at=at, ended_at=at)


def connected(rig: Rig) -> None:
    TransferFactory(attempt__call__campaign__account=rig.account, number=PHONE)


def nothing(rig: Rig) -> None:
    """Nothing comes to hold, so the phone rings."""


@pytest.mark.parametrize("way", [call_over_a_trunk, console_ring])
@pytest.mark.parametrize("is_claimed", [False, True], ids=["before the claim", "before the intent"])
@pytest.mark.parametrize("comes_to_hold", [nothing, close, listed, capped, connected])
def test_it_rings_only_where_the_gate_is_open_at_the_claim_and_before_the_intent(
    rig, way: Callable[[Rig], Campaign], is_claimed: bool, comes_to_hold: Callable[[Rig], None]
):
    way(rig)
    schedule.start_due(timezone.now())
    if is_claimed:
        assert rig.dispatch() == 1
    comes_to_hold(rig)
    assert rig.dispatch() == (0 if is_claimed or comes_to_hold is not nothing else 1)
    rig.dial()
    assert rig.rings() == ([PHONE] if comes_to_hold is nothing else [])
