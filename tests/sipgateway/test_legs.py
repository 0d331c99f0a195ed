"""A call that a flow connects its callee to passes the gate before it has a row: nobody is rung who must not be."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from campaigns.flow_interpreter import Connect, Place
from dialer import transfers
from dialer.models import CallAttempt, Transfer
from dialer.transfers import Begun
from sipgateway import legs, records
from sipgateway.models import SipCall
from sipgateway.plans import Plan
from sipgateway.records import Note
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


@pytest.mark.parametrize(
    ("outcome", "answered", "ends"),
    [("completed", True, ("completed", 5, "")), ("busy", False, ("busy", None, ""))],
)
def test_a_leg_that_ended_with_its_call_is_what_its_trunk_says_afterwards(plan, outcome, answered, ends):
    now = timezone.now()
    leg = legs.begin(plan, Connect("+912222222222", 20, Place(("1",))), uuid4(), now)
    assert isinstance(leg, Plan)
    attempt = CallAttempt.objects.select_related("campaign").get(pk=plan.attempt_id)
    with transaction.atomic():
        transfers.end_with([attempt], now)
    assert Transfer.objects.get().outcome == "canceled"
    ending = {"status": SipCall.Status.ENDED, "outcome": outcome, "ended_at": now + timedelta(seconds=5)}
    records.store([Note(leg.attempt_id, ending | ({"answered_at": now} if answered else {}))])
    ended = Transfer.objects.get()
    assert (ended.outcome, ended.talk_seconds, ended.rule) == ends


def test_a_leg_that_was_not_rung_stays_as_it_ended_whatever_is_said_of_it(plan):
    now = timezone.now()
    leg = legs.begin(plan, Connect("+912222222222", 20, Place(("1",))), uuid4(), now)
    assert isinstance(leg, Plan)
    Transfer.objects.update(placing_at=None, ended_at=now, outcome="canceled")
    records.store([Note(leg.attempt_id, {"status": SipCall.Status.ENDED, "outcome": "busy", "ended_at": now})])
    assert Transfer.objects.get().outcome == "canceled"


def test_another_number_has_its_row_before_it_rings(plan):
    leg = legs.begin(plan, Connect("+912222222222", 20, Place(("1",))), uuid4(), timezone.now())
    assert isinstance(leg, Plan)
    assert (SipCall.objects.get().number, Transfer.objects.get().number) == ("+912222222222", "+912222222222")
