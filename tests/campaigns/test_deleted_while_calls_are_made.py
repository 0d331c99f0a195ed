"""A contact that is deleted while calls are made of its list, by another connection: it is not in the campaign."""

import pytest
from django.db import transaction
from django.utils import timezone

from campaigns import again, audience, lifecycle, loading
from campaigns.called_again import Selection
from campaigns.models import Call, Campaign
from contacts import address_book
from tests.at_once import during
from tests.conftest import NUMBERS, START, states
from tests.factories import (
    ACTOR,
    CallFactory,
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    ListEntryFactory,
)

GONE, LEFT = NUMBERS[:2]


@pytest.fixture
def listed(rig):
    """A list of two contacts, one of which is deleted."""
    made = ContactListFactory(account=rig.account)
    for number in (GONE, LEFT):
        ListEntryFactory(contact_list=made, contact=ContactFactory(account=rig.account, number=number))
    return made


def create(rig, listed):
    return lambda: rig.campaign(list_ids=[listed.pk])


def change(rig, listed):
    campaign = rig.campaign(1, send_at=START.replace(day=3))
    return lambda: lifecycle.change(campaign, actor=ACTOR, now=timezone.now(), list_ids=[listed.pk])


def load(rig, listed):
    campaign = rig.campaign(list_ids=[listed.pk])
    assert campaign.is_loading

    def make_all():
        while loading.make_slice(campaign.pk, timezone.now()):
            pass

    return make_all


def call_again(rig, listed):
    parent = CampaignFactory(
        account=rig.account, caller_id=rig.caller_id, flow=rig.flow, completed=True, list_ids=[listed.pk]
    )
    for number in (GONE, LEFT):
        CallFactory(failed=True, campaign=parent, number=number, last_outcome="busy")
    return lambda: again.create(parent, Selection(("busy",)), actor=ACTOR, now=timezone.now())


WAYS = pytest.mark.parametrize("way", [create, change, load, call_again])


@pytest.fixture
def make(rig, listed, way, monkeypatch):
    """Make the calls, in this way."""
    monkeypatch.setattr(loading, "enqueue_once", lambda *_: None)
    if way is load:
        monkeypatch.setattr(audience, "AT_ONCE", 0)
    return way(rig, listed)


def delete(rig):
    address_book.delete(rig.account.contacts.get(number=GONE), actor=ACTOR)


def people():
    """Return the calls of the campaign that was made."""
    return states(Campaign.objects.exclude(status="completed").get())


@WAYS
def test_a_deletion_takes_it_out_of_calls_that_are_not_committed_yet(rig, make):
    during(make, lambda: delete(rig))
    assert people() == {GONE: "canceled", LEFT: "created"}
    assert Call.objects.get(number=GONE, status="canceled").rule == "contact-deleted"


@WAYS
def test_calls_are_not_made_of_one_whose_deletion_is_not_committed_yet(rig, make):
    during(lambda: delete(rig), make)
    assert people() == {LEFT: "created"}


@pytest.mark.parametrize("way", [create])
def test_a_deletion_that_is_given_up_leaves_it_in(rig, make):
    def give_up():
        with transaction.atomic():
            delete(rig)
            transaction.set_rollback(True)

    during(give_up, make)
    assert people() == {GONE: "created", LEFT: "created"}


@pytest.mark.parametrize("way", [create])
def test_other_accounts_do_not_wait(rig, make):
    other = ContactFactory()
    during(make, lambda: address_book.delete(other, actor=ACTOR))
    assert people() == {GONE: "created", LEFT: "created"}
    assert not type(other).objects.filter(pk=other.pk).exists()
