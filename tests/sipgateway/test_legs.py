"""A call that a flow connects its callee to passes the gate before it has a row: nobody is rung who must not be."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from campaigns.flow_interpreter import Connect, Place
from dialer.models import Transfer
from dialer.transfers import Begun
from sipgateway import legs
from sipgateway.models import SipCall
from sipgateway.plans import Plan
from sipgateway.trunk_addresses import TrunkAddress
from tests.factories import CallAttemptFactory, DoNotCallFactory
from tests.sipgateway.test_records import OVER_SIP

LISTED = "+912222222221"


@pytest.fixture
def plan(transactional_db, redis):
    """Of a call that is up."""
    attempt = CallAttemptFactory(in_progress=True, **OVER_SIP)
    DoNotCallFactory(account=attempt.account, number=LISTED)
    return Plan(
        attempt_id=attempt.pk,
        number=attempt.callee,
        caller_id="+918047112233",
        ring_timeout=45,
        max_seconds=60,
        ask_before=timezone.now() + timedelta(seconds=5),
        account_id=attempt.account_id,
        trunk_id=attempt.trunk_id,
        address=TrunkAddress("127.0.0.1"),
        credentials=None,
        document={},
    )


@pytest.mark.parametrize("number", [LISTED, "+12125550123", "+911861123456789", "+870773111632"])
def test_a_listed_number_one_abroad_and_a_premium_or_satellite_one_are_not_rung(plan, number):
    begun = legs.begin(plan, Connect(number, 20, Place(("1",))), uuid4(), timezone.now())
    assert isinstance(begun, Begun)
    assert (begun.may_ring, begun.may_try_others) == (False, True), "the flow goes on with the next number"
    assert not SipCall.objects.exists()
    leg = Transfer.objects.get()
    assert (leg.outcome, leg.rule, leg.placing_at) == (
        "failed",
        "do-not-call" if number == LISTED else "not-called",
        None,
    )


def test_another_number_has_its_row_before_it_rings(plan):
    leg = legs.begin(plan, Connect("+912222222222", 20, Place(("1",))), uuid4(), timezone.now())
    assert isinstance(leg, Plan)
    assert (SipCall.objects.get().number, Transfer.objects.get().number) == ("+912222222222", "+912222222222")
