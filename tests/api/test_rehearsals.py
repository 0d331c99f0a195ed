"""Forecasts of campaigns and rehearsals of those that are not stored."""

from datetime import time, timedelta

import pytest
from django.utils import timezone

from campaigns.models import Campaign
from tests.api.client import NUMBERS, campaign
from tests.factories import CampaignFactory, ContactFactory, ContactListFactory, ListEntryFactory


@pytest.fixture
def account(account):
    account.opens_at = account.closes_at = time(0)
    account.save()
    return account


def test_a_forecast_says_how_many_fit(api, clock):
    made = api.post("/campaigns", campaign()).data
    shown = api.get(f"/campaigns/{made['id']}/forecast").data
    assert (shown["numbers"], shown["fits"], shown["canceled"], shown["kept"]) == (3, 3, 0, [])
    assert shown["summary"].startswith("all 3 fit before")
    assert shown["campaign_sid"] == made["id"]
    assert shown["finishes_at"]


def test_a_campaign_that_has_ended_has_none(api, account):
    ended = CampaignFactory(account=account, completed=True)
    api.get(f"/campaigns/{ended.pk.hex}/forecast").is_refused(400, "completed")


def test_that_of_another_account_does_not_exist(api, other):
    theirs = campaign(url="http://my.exotel.com/umbrella/exoml/start_voice/666", caller_id="08047110000")
    made = other.post("/campaigns", theirs)
    api.get(f"/campaigns/{made.data['id']}/forecast").is_refused(404, "no campaign")


def test_a_rehearsal_stores_nothing(api, clock):
    end = (timezone.now() + timedelta(hours=2)).isoformat()
    shown = api.post("/campaigns/rehearsal", campaign(schedule={"end_at": end})).data
    assert (shown["numbers"], shown["fits"]) == (3, 3)
    assert sum(hour["starts"] for hour in shown["hours"]) == sum(shown["attempts"].values()) >= 3
    assert shown["days"] == [{"day": "2026-03-02", "starts": sum(shown["attempts"].values())}]
    assert (shown["learnt_from"], shown["spills_to"]) == (0, None)
    assert not Campaign.objects.exists()


def test_a_campaign_from_lists_is_rehearsed(api, account, clock):
    contact_list = ContactListFactory(account=account)
    for number in NUMBERS:
        ListEntryFactory(contact_list=contact_list, contact=ContactFactory(account=account, number=number))
    body = campaign(lists=[contact_list.pk.hex], numbers=...)
    assert api.post("/campaigns/rehearsal?callees=default", body).data["numbers"] == 3


def test_what_a_create_refuses_is_refused(api):
    api.post("/campaigns/rehearsal", campaign(numbers=["12"])).is_refused(400, "from", "12")
    api.post("/campaigns/rehearsal", campaign(rules=["eu"])).is_refused(400, "there is no rule set eu")
    api.post("/campaigns/rehearsal", {"campaigns": [campaign(), campaign()]}).is_refused(400, "exactly one")
    api.post("/campaigns/rehearsal?callees=all", campaign()).is_refused(400, "learnt, default")
