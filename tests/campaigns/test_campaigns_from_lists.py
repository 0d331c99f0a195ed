"""A campaign calls whom its lists had when it was made: what becomes of the lists later does not reach it."""

import pytest
from django.utils import timezone

from campaigns import lifecycle
from contacts import lists
from tests.conftest import NUMBERS, START, states
from tests.factories import ACTOR, ContactListFactory, ListEntryFactory

A, B, C = NUMBERS[:3]


@pytest.fixture
def parents(rig):
    made = ContactListFactory(account=rig.account)
    for number in (A, B, C):
        ListEntryFactory(contact_list=made, contact__number=number)
    return made


def leave(rig, parents) -> None:
    """Take B out of the list, and delete C."""
    assert lists.remove_contact(parents, rig.account.contacts.get(number=B).pk, actor=ACTOR)
    rig.account.contacts.get(number=C).delete()


def test_who_leaves_the_list_or_is_deleted_during_the_campaign_is_called_all_the_same(rig, parents):
    rig.carrier.script = {C: ["busy", "completed"]}
    campaign = rig.campaign(retries=1, list_ids=[parents.pk])
    rig.account.channels = 1
    rig.account.save()
    rig.tick()
    leave(rig, parents)
    for _ in range(5):
        rig.later(minutes=10)
    assert rig.rings() == [A, B, C, C]
    assert states(campaign) == {A: "completed", B: "completed", C: "completed"}


def test_a_campaign_that_is_paused_and_completed_calls_nobody_who_is_left(rig, parents):
    rig.account.channels = 1
    rig.account.save()
    campaign = rig.campaign(list_ids=[parents.pk])
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    lifecycle.complete(campaign, actor=ACTOR)
    for _ in range(5):
        rig.later(minutes=10)
    assert rig.rings() == [A]


def test_lists_that_are_given_again_before_the_start_are_read_again(rig, parents):
    campaign = rig.campaign(list_ids=[parents.pk], send_at=START.replace(hour=START.hour + 1))
    leave(rig, parents)
    assert set(states(campaign)) == {A, B, C}
    lifecycle.change(campaign, now=timezone.now(), list_ids=[parents.pk], actor=ACTOR)
    rig.later(hours=2)
    assert rig.rings() == [A]
