"""What is made before the first call: what campaigns say that begin soon, and what each call needs."""

from datetime import timedelta

import pytest
from django.utils import timezone

from sipgateway import plans
from tests.factories import CallerIdFactory, CampaignFactory, TrunkFactory

pytestmark = pytest.mark.django_db
TEXT = {"flow": None, "flow_url": "", "flow_type": "greeting"}


@pytest.fixture
def campaign(clock):
    """Makes campaigns over a SIP trunk."""
    line = CallerIdFactory(trunk=TrunkFactory(carrier="sip", base_url="sip:trunk.example"))

    def make(**columns):
        return CampaignFactory(account=line.account, **{"caller_id": line} | columns)

    return make


def begun():
    return plans.begun(timezone.now())


@pytest.mark.parametrize(("minutes", "is_soon"), [(0, True), (1, True), (3, False)])
def test_campaigns_are_prepared_that_begin_within_two_minutes(campaign, minutes, is_soon):
    later = campaign(send_at=timezone.now() + timedelta(minutes=minutes))
    assert begun() == ({later.pk} if is_soon else set())


def test_campaigns_of_other_carriers_and_those_that_have_ended_are_not_prepared(campaign):
    running = campaign(running=True)
    campaign(completed=True)
    other = CallerIdFactory(account=running.account)
    campaign(running=True, caller_id=other)
    assert begun() == {running.pk}


def test_a_text_that_is_another_one_for_everybody_is_made_for_each_call(campaign):
    campaign(running=True, text="Dear @@Name", type="dynamic", list_ids=[1], **TEXT)
    same = campaign(running=True, text="Hello", **TEXT)
    assert begun() == {same.pk}


def test_what_is_said_comes_with_the_account_whose_turn_it_takes(campaign):
    flow = {"steps": [{"say": "Hello"}]}
    first = campaign(running=True, flow__document=flow)
    second = campaign(running=True, text="Good morning", **TEXT)
    documents = plans.documents_of({first.pk, second.pk})
    assert {account_id for account_id, _ in documents} == {first.account_id}
    said = [document["steps"][0]["say"] for _, document in documents]
    assert sorted(said) == ["Good morning", "Hello"]
