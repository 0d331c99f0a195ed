"""GET and POST below /webhook-deliveries, and the addresses that a campaign may be created with."""

from datetime import UTC, datetime

import pytest

from campaigns.models import Campaign
from tests.api.client import stored
from tests.factories import CampaignFactory, WebhookDeliveryFactory, WebhookTryFactory
from webhooks.models import WebhookDelivery

pytestmark = pytest.mark.usefixtures("shared_account")

PATH = "/webhook-deliveries"


@pytest.fixture
def campaign(account):
    return CampaignFactory(account=account, running=True, status_callback="https://client.example/hook?key=k")


def test_a_record_has_the_payload_the_address_and_the_outcome(api, campaign):
    at = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
    row = WebhookDeliveryFactory(campaign=campaign, given_up=True, created_at=at, given_up_at=at)
    assert api.get(PATH).records == [
        {
            "id": row.webhook_id.hex,
            "campaign_sid": campaign.pk.hex,
            "kind": "campaign-status",
            "url": "https://client.example/hook?key=k",
            "status": "given-up",
            "payload": {"campaign_sid": campaign.pk.hex, "status": "in-progress"},
            "tries": 1,
            "last_http_status": 500,
            "last_error": "answered 500",
            "date_created": "2026-03-02T11:30:00+05:30",
            "next_try": None,
            "date_delivered": None,
            "date_given_up": "2026-03-02T11:30:00+05:30",
            "uri": f"/v2/accounts/acme/webhook-deliveries/{row.webhook_id.hex}",
        }
    ]


def test_one_brings_its_log(api, campaign):
    row = WebhookDeliveryFactory(campaign=campaign, given_up=True)
    tried = WebhookTryFactory(delivery=row)
    data = api.get(f"{PATH}/{row.webhook_id.hex}").data
    (entry,) = data.pop("log")
    assert entry.pop("date").endswith("+05:30")
    assert entry == {"duration_ms": 120, "http_status": 500, "error": "answered 500", "response": tried.response}
    assert data == api.get(PATH).records[0]


def test_pages_and_their_order(api, campaign):
    ids = [row.webhook_id.hex for row in WebhookDeliveryFactory.create_batch(5, campaign=campaign)]
    response = api.get(f"{PATH}?offset=1&limit=2")
    assert response.metadata == {"count": 2, "offset": 1, "total": 5, "limit": 2}
    assert [record["id"] for record in response.records] == ids[1:3]
    assert [record["id"] for record in api.get(f"{PATH}?sort_by=date_created:desc").records] == ids[::-1]


def test_filters(api, campaign, account):
    pending = WebhookDeliveryFactory(campaign=campaign)
    delivered = WebhookDeliveryFactory(campaign=campaign, delivered=True, kind="call-status")
    elsewhere = WebhookDeliveryFactory(campaign__account=account, given_up=True, kind="call-schedule")
    names = {row.webhook_id.hex: name for row, name in ((pending, "p"), (delivered, "d"), (elsewhere, "e"))}

    def found(query):
        return "".join(names[record["id"]] for record in api.get(f"{PATH}?{query}").records)

    assert found("") == "pde"
    assert found("status=pending") == "p"
    assert found("status=Delivered,given-up") == "de"
    assert found("kind=call-status,call-schedule") == "de"
    assert found(f"campaign_sid={campaign.pk.hex}") == "pd"
    assert found(f"campaign_sid={campaign.pk}&kind=CallStatus&status=delivered") == "d"
    assert found("campaign_sid=none-of-ours") == ""


@pytest.mark.parametrize("query", ["status=late", "kind=sms", "limit=0", "sort_by=url", "offset=-1"])
def test_a_filter_that_means_nothing_is_refused(api, query):
    assert api.get(f"{PATH}?{query}").is_refused(400, f"'{query.partition('=')[0]}'")


def test_post_sends_it_again(api, campaign):
    row = WebhookDeliveryFactory(campaign=campaign, delivered=True)
    data = api.post(f"{PATH}/{row.webhook_id.hex}", {}).data
    assert (data["id"], data["status"], data["tries"]) == (row.webhook_id.hex, "pending", 0)
    assert WebhookDelivery.objects.get().state == "pending"


def test_another_accounts_webhooks_do_not_exist(api, other, campaign):
    row = WebhookDeliveryFactory(campaign=campaign, delivered=True)
    assert other.get(PATH).records == []
    assert other.get(f"{PATH}?campaign_sid={campaign.pk.hex}").records == []
    assert other.get(f"{PATH}/{row.webhook_id.hex}").is_refused(404, "webhook delivery")
    assert other.post(f"{PATH}/{row.webhook_id.hex}", {}).is_refused(404, "webhook delivery")
    assert other.get(f"/v2/accounts/acme{PATH}").status == 404
    assert WebhookDelivery.objects.get().state == "delivered"


@pytest.mark.parametrize("given", ["nothing", "0" * 32, "%00", "1"])
def test_an_unknown_id_is_a_404(api, given):
    assert api.get(f"{PATH}/{given}").is_refused(404, "webhook delivery")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_nothing_else_can_be_done_to_one(api, campaign, method):
    row = WebhookDeliveryFactory(campaign=campaign)
    assert api.send(method, f"{PATH}/{row.webhook_id.hex}").status == 405


def test_the_number_of_queries_does_not_grow_with_the_page(api, campaign, django_assert_max_num_queries):
    WebhookDeliveryFactory.create_batch(30, campaign=campaign)
    api.get(PATH)
    with django_assert_max_num_queries(4):
        api.get(f"{PATH}?limit=100")


CALLBACKS = ["call_status_callback", "call_schedule_callback", "status_callback"]
PRIVATE = ["http://127.0.0.1/hook", "http://10.0.0.5/", "https://[::1]/hook", "http://localhost:8000/"]


class TestPrivateAddresses:
    @pytest.mark.parametrize("field", CALLBACKS)
    @pytest.mark.parametrize("url", PRIVATE)
    def test_they_are_refused_at_creation(self, api, field, url):
        assert api.create(**{field: url}).is_refused(400, f"'{field}'", "private", "public internet")
        assert stored() == (0, 0)

    @pytest.mark.parametrize("field", CALLBACKS)
    def test_and_when_a_callback_is_changed(self, api, account, field):
        running = CampaignFactory(account=account, running=True)
        assert api.change(running, **{field: PRIVATE[0]}).is_refused(400, f"'{field}'", "private")
        assert getattr(Campaign.objects.get(), field) == ""

    def test_unless_the_setting_allows_them(self, api, settings):
        settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True
        assert api.create(status_callback=PRIVATE[0]).data["status_callback"] == PRIVATE[0]
