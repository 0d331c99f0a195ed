"""A refusal in the admin is a page that says what to do; a program gets an envelope."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership
from tests.factories import CampaignFactory, TrunkFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(django_user_model):
    user = django_user_model.objects.create_user("meera", is_staff=True)
    Membership.objects.create(user=user, account=CampaignFactory().account, role="viewer")
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("address", ["/admin/nonsense/", "/admin/campaigns/campaign/nonsense/change/"])
def test_a_page_that_is_not_there_says_so_to_a_person(viewer, address):
    response = viewer.get(address)
    assert response.status_code == 404
    assert "not of your accounts" in response.content.decode()
    assert f'href="{reverse("admin:index")}"' in response.content.decode()


def test_another_account_s_row_looks_the_same_as_one_that_is_not_there(viewer):
    theirs = reverse("admin:campaigns_campaign_change", args=[CampaignFactory().pk])
    addresses = (theirs, "/admin/campaigns/campaign/nonsense/change/")
    pages = [viewer.get(address).content.decode().replace(address, "") for address in addresses]
    bare = [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page) for page in pages]
    assert bare[0] == bare[1]


def test_what_a_role_does_not_allow_says_who_can_help(viewer):
    response = viewer.get(reverse("admin:accounts_trunk_change", args=[TrunkFactory().pk]))
    assert response.status_code == 403
    assert "Your role does not allow this." in response.content.decode()


def test_a_program_gets_an_envelope(client, viewer):
    for response in (client.get("/nonsense"), viewer.get("/nonsense")):
        assert response.status_code == 404
        assert response.json()["response"][0]["error_data"]["description"] == "there is no such address"
