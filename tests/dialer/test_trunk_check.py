"""`check_trunk`: what it finds right and wrong, against a stand-in of the carrier and a real server of this program."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from dialer import trunk_check
from dialer.models import TrunkHealth
from sipgateway.models import Gateway
from tests.dialer import twilio
from tests.factories import CallerIdFactory, TrunkFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def carrier_api():
    with twilio.twilio() as stand_in:
        yield stand_in


@pytest.fixture
def trunk(carrier_api, live_server, settings):
    settings.PUBLIC_URL = settings.EVENTS_URL = live_server.url
    trunk = TrunkFactory(
        name="main",
        carrier="twilio",
        base_url=carrier_api.url,
        account_sid=twilio.ACCOUNT_SID,
        api_key=twilio.ACCOUNT_SID,
        api_token=twilio.TOKEN,
    )
    CallerIdFactory(trunk=trunk, number="+14155550100")
    return trunk


def bad(trunk):
    return {step.name: step.said for step in trunk_check.check(trunk) if not step.is_good}


def test_a_trunk_in_order_passes_every_step(trunk):
    steps = list(trunk_check.check(trunk))
    assert [step.name for step in steps] == [
        *("address", "credentials", "caller IDs", "health", "web", "events", "flows")
    ]
    assert bad(trunk) == {}


def test_it_asks_the_carrier_for_a_call_that_there_is_not_and_rings_nobody(trunk, carrier_api):
    list(trunk_check.check(trunk))
    assert carrier_api.paths == [f"GET /2010-04-01/Accounts/{twilio.ACCOUNT_SID}/Calls/{trunk_check.NO_CALL}.json"]


def test_wrong_credentials_are_told_in_the_carriers_words(trunk, carrier_api):
    carrier_api.reply = 401, {"code": 20003, "message": "Authenticate"}
    said = "the carrier says: HTTP 401: error 20003: Authenticate. Check base URL, account SID, key and token"
    assert bad(trunk) == {"credentials": said}


def test_a_carrier_that_is_not_there_is_told(trunk):
    trunk.base_url = "http://127.0.0.1:9"
    trunk.save()
    assert set(bad(trunk)) == {"credentials"}


def test_a_trunk_without_caller_ids_or_at_rest_is_told(trunk):
    trunk.caller_ids.all().delete()
    TrunkHealth.objects.create(trunk=trunk, failures=1, down_since=timezone.now(), last_error="HTTP 503: away")
    said = bad(trunk)
    assert set(said) == {"caller IDs", "health"}
    assert "HTTP 503: away" in said["health"]


@pytest.mark.parametrize(
    ("url", "part"),
    [("http://127.0.0.1:9", "does not respond from here"), ("{}/nowhere", "responds 404 instead of 403")],
)
def test_an_address_of_events_that_leads_nowhere_is_told(trunk, settings, live_server, url, part):
    settings.EVENTS_URL = url.format(live_server.url)
    assert part in bad(trunk)["events"]


def test_what_a_far_carrier_can_t_use_is_told(trunk, settings):
    trunk.base_url = "http://carrier.example"
    said = {
        step.name: step.said
        for step in (trunk_check._address(trunk), trunk_check._can_be_reached("p", "http://127.0.0.1"))
    }
    assert "unencrypted" in said["address"]
    assert "can't be reached from the carrier" in said["p"]


def test_the_command_says_each_step_and_fails_for_a_bad_one(trunk, carrier_api):
    out = StringIO()
    call_command("check_trunk", "main", stdout=out, no_color=True)
    assert "ok   credentials: Twilio knows the account" in out.getvalue()
    carrier_api.reply = 500, {}
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 7 steps failed: credentials"):
        call_command("check_trunk", "main", "--json", stdout=out)
    assert [step["name"] for step in json.loads(out.getvalue()) if not step["is_good"]] == ["credentials"]
    with pytest.raises(CommandError, match="there is no trunk other; there is: main"):
        call_command("check_trunk", "other")


def test_a_sip_trunk_needs_a_gateway_and_no_way_back_to_this_server(settings):
    settings.PUBLIC_URL = "http://127.0.0.1:9"
    trunk = TrunkFactory(carrier="sip", base_url="sip:trunk.example")
    CallerIdFactory(trunk=trunk)
    assert bad(trunk) == {"way there": "no SIP gateway is at work: start `manage.py sipgateway`"}
    now = timezone.now()
    Gateway.objects.create(pk=uuid4(), address="127.0.0.1:5060", started_at=now, at_work_since=now, beat_at=now)
    steps = list(trunk_check.check(trunk))
    assert [step.name for step in steps] == ["address", "way there", "caller IDs", "health"]
    assert bad(trunk) == {}
