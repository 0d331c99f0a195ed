"""The admin pages of webhooks: what they show, and sending again."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from accounts.models import Membership
from tests.factories import CampaignFactory, WebhookDeliveryFactory, WebhookTryFactory
from webhooks.models import WebhookDelivery

pytestmark = pytest.mark.django_db

LIST = reverse("admin:webhooks_webhookdelivery_changelist")


def page_of(row):
    return reverse("admin:webhooks_webhookdelivery_change", args=[row.pk])


def again(row):
    return reverse("admin:webhooks_webhookdelivery_redeliver", args=[row.pk])


def test_the_list_shows_the_address_without_what_may_be_a_key(admin_client):
    WebhookDeliveryFactory(url="https://user:password@client.example/hook?key=secret", given_up=True)
    page = admin_client.get(LIST).content.decode()
    assert "https://client.example/hook" in page
    assert "password@" not in page
    assert "secret" not in page
    assert "given up" in page


def test_times_are_in_the_accounts_zone(admin_client):
    at = datetime(2026, 7, 1, 9, tzinfo=UTC)
    WebhookDeliveryFactory(campaign__account__time_zone="Europe/London", created_at=at)
    page = admin_client.get(LIST).content.decode()
    assert "2026-07-01" in page
    assert "10:00:00 BST" in page


def test_the_page_shows_payload_and_tries(admin_client):
    tried = WebhookTryFactory()
    page = admin_client.get(page_of(tried.delivery)).content.decode()
    assert "&quot;status&quot;: &quot;in-progress&quot;" in page
    assert "&lt;h1&gt;Internal Server Error&lt;/h1&gt;" in page
    assert "120 ms" in page


@pytest.mark.parametrize(("filters", "found"), [({"state": "given-up"}, 1), ({"state": "pending"}, 1), ({}, 3)])
def test_the_list_is_filtered_by_state(admin_client, filters, found):
    for columns in ({}, {"delivered": True}, {"given_up": True}):
        WebhookDeliveryFactory(**columns)
    assert admin_client.get(LIST, filters).context["cl"].result_count == found


def test_a_webhook_is_found_by_its_id_and_by_its_campaigns(admin_client):
    wanted, _other = WebhookDeliveryFactory.create_batch(2)
    for text in (wanted.webhook_id.hex, str(wanted.webhook_id), wanted.campaign.pk.hex):
        assert list(admin_client.get(LIST, {"q": text}).context["cl"].result_list) == [wanted]


def test_the_button_sends_it_again(admin_client):
    row = WebhookDeliveryFactory(given_up=True)
    assert again(row) in admin_client.get(page_of(row)).content.decode()
    assert "Under way again: 1" in admin_client.post(again(row), follow=True).content.decode()
    assert WebhookDelivery.objects.get().state == "pending"


def test_the_action_sends_those_that_are_selected(admin_client):
    campaign = CampaignFactory(running=True)
    rows = WebhookDeliveryFactory.create_batch(3, campaign=campaign, url="https://client.example/", given_up=True)
    chosen = {"action": "redeliver", "_selected_action": [row.pk for row in rows[:2]]}
    assert "Under way again: 2" in admin_client.post(LIST, chosen, follow=True).content.decode()
    assert [row.state for row in WebhookDelivery.objects.order_by("id")] == ["pending", "pending", "given-up"]


def test_a_link_alone_sends_nothing(admin_client):
    row = WebhookDeliveryFactory(given_up=True)
    assert admin_client.get(again(row)).status_code == 405
    assert admin_client.post(reverse("admin:webhooks_webhookdelivery_redeliver", args=[0])).status_code == 404


@pytest.mark.parametrize(("role", "allowed"), [("viewer", False), ("operator", True)])
def test_a_user_who_may_only_view_sends_nothing(client, django_user_model, role, allowed):
    row = WebhookDeliveryFactory(given_up=True)
    person = django_user_model.objects.create_user("ada", is_staff=True)
    Membership.objects.create(user=person, account=row.account, role=role)
    client.force_login(person)
    page = client.get(page_of(row))
    assert page.status_code == 200
    assert (again(row) in page.content.decode()) is allowed
    assert client.post(again(row)).status_code == (302 if allowed else 403)
    assert (WebhookDelivery.objects.get().state == "pending") is allowed
