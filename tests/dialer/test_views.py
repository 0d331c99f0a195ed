"""The addresses that carriers use: events need the attempt's own token, and an accepted event is never lost."""

import json
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from campaigns.models import Campaign
from dialer import inbox, links, messages
from dialer.models import CallAttempt, CarrierEvent
from tests.conftest import NUMBERS
from tests.factories import CallFactory, CampaignFactory, ContactListFactory, FlowFactory, ListEntryFactory

pytestmark = pytest.mark.django_db


def path(url: str) -> str:
    return url.partition("//")[2].partition("/")[2].join(["/", ""])


@pytest.fixture
def address():
    attempt_id = uuid4()
    return path(links.events_url("exotel", attempt_id))


@pytest.mark.parametrize("kind", ["multipart", "urlencoded", "json"])
def test_an_event_is_stored_as_it_came(client, redis, address, kind):
    fields = {"CallSid": "abc", "Status": "completed"}
    match kind:
        case "multipart":
            response = client.post(address, fields)
        case "urlencoded":
            response = client.post(address, "CallSid=abc&Status=completed", "application/x-www-form-urlencoded")
        case "json":
            response = client.post(address, json.dumps(fields), "application/json")
    assert response.status_code == 204
    assert CarrierEvent.objects.get().payload == fields


def test_an_event_with_the_wrong_token_is_refused_and_not_stored(client, redis, address):
    other = path(links.events_url("exotel", uuid4()))
    for forged in (address[:-1], address[:-1] + "x", address.partition("?")[0], other[:60] + address[60:]):
        assert client.post(forged, {"Status": "completed"}).status_code == 403
    assert not CarrierEvent.objects.exists()


def test_an_unknown_carrier_is_refused(client, address):
    assert client.post(address.replace("/exotel/", "/nobody/"), {"Status": "completed"}).status_code == 403


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "[" * 100_000])
def test_what_is_no_event_is_refused(client, address, body):
    assert client.post(address, body, "application/json").status_code == 400


def test_characters_that_the_database_refuses_do_not_cost_the_event(client, redis, address):
    body = '{"Status": "busy", "Digits": "1\\u0000\\ud800", "Deep": [{"a\\u0000": NaN}]}'
    assert client.post(address, body, "application/json").status_code == 204
    assert CarrierEvent.objects.get().payload == {"Status": "busy", "Digits": "1?", "Deep": [{"a": None}]}


@pytest.mark.parametrize(
    "extra", ["1e999", "-1e999", "[1e400]", "[" * 700 + "]" * 700, '{"a":' * 700 + "1" + "}" * 700]
)
def test_odd_values_beside_the_status_do_not_cost_the_event(client, redis, address, extra):
    body = f'{{"Status": "busy", "Odd": {extra}}}'
    assert client.post(address, body, "application/json").status_code == 204
    assert CarrierEvent.objects.filter(payload__Status="busy").count() == 1


@pytest.mark.parametrize(("status", "told"), [("in-progress", 0), ("ringing", 0), ("completed", 1), ("unheard-of", 1)])
def test_only_an_end_sends_a_message_to_settle(client, address, monkeypatch, status, told):
    """What says that a call is up can wait for beat's tick. What can't be read may be an end."""
    messages_sent = []
    monkeypatch.setattr(messages, "enqueue_settle", lambda: messages_sent.append(1))
    assert client.post(address, {"Status": status}).status_code == 204
    inbox.append("exotel", [(uuid4(), {"Status": status})])
    assert len(messages_sent) == 2 * told


def test_an_event_that_is_refused_is_logged(client, address):
    with capture_logs() as logged:
        client.post(address, "{", "application/json")
    assert [entry["carrier"] for entry in logged if entry["event"] == "event_refused"] == ["exotel"]


def test_the_token_of_one_carrier_is_not_anothers(client, redis, address):
    assert client.post(address.replace("/exotel/", "/sandbox/"), {"Status": "completed"}).status_code == 403
    assert client.post(address.replace("/exotel/", "/simulated/"), {"status": "completed"}).status_code == 403


def test_only_post_is_taken(client, address):
    assert client.get(address).status_code == 405


def test_a_flow_is_handed_out_to_a_client_with_its_address(client):
    call = CallFactory(campaign__flow=FlowFactory(document={"steps": [{"say": "Hello"}]}))
    address = path(links.flow_url(call.campaign, call.pk))
    assert client.get(address).json() == {"steps": [{"say": "Hello"}]}
    assert client.get(address[:-1]).status_code == 403


def test_a_text_that_all_calls_share_has_one_address(client):
    campaign = CampaignFactory(greeting=True)
    first, second = CallFactory.create_batch(2, campaign=campaign)
    address = path(links.flow_url(first.campaign, first.pk))
    assert address == path(links.flow_url(second.campaign, second.pk))
    assert client.get(address).json() == {"steps": [{"say": "Hello."}], "machine": [{"say": "Hello."}]}
    assert client.get(address[:-1]).status_code == 403


def test_a_call_of_a_dynamic_campaign_hears_the_values_of_its_own_row(client):
    campaign = CampaignFactory(greeting=True, text="Dear @@Name", type="dynamic", list_ids=[uuid4()])
    asha = CallFactory(campaign=campaign, variables={"Name": "Asha"})
    ravi = CallFactory(campaign=campaign, variables={"Name": "Ravi"})
    addresses = [path(links.flow_url(call.campaign, call.pk)) for call in (asha, ravi)]
    said = [client.get(address).json()["steps"][0]["say"] for address in addresses]
    assert said == ["Dear Asha", "Dear Ravi"]
    token = addresses[0].partition("?")[2]
    assert client.get(f"/call-texts/{ravi.pk}?{token}").status_code == 403
    assert client.get(f"/call-texts/{asha.pk}").status_code == 403
    assert client.get(f"/campaign-texts/{campaign.pk.hex}?{token}").status_code == 403


def test_the_carrier_is_given_the_address_of_the_calls_own_text(rig, client):
    made = ContactListFactory(account=rig.account, dynamic=True)
    ListEntryFactory(
        contact_list=made, contact__number=NUMBERS[0], values={"Name": "Asha", "Fee": "1"}, values_digest="1"
    )
    rig.campaign(0, flow=None, flow_url="", text="Dear @@Name", flow_type="ivr", type="dynamic", list_ids=[made.pk])
    rig.tick()
    assert rig.rings() == [NUMBERS[0]]
    (request,) = rig.carrier.rings
    (step,) = client.get(path(request.flow_url)).json()["steps"]
    assert step["gather"]["prompt"] == [{"say": "Dear Asha"}]


def test_the_event_of_a_real_attempt_ends_its_campaign(rig, client):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    rig.campaign(1)
    rig.tick()
    attempt = CallAttempt.objects.get()
    response = client.post(path(links.events_url("simulated", attempt.pk)), {"status": "completed"})
    assert response.status_code == 204
    rig.settle()
    assert Campaign.objects.get().status == "completed"
