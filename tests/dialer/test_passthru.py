"""Keys that Exotel's Passthru applet sends, as they reach the report."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from campaigns.models import CustomField
from dialer import inbox, links
from dialer.models import CallAttempt, CarrierEvent
from tests.conftest import NUMBERS
from tests.factories import CallAttemptFactory, CallFactory, TrunkFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def trunk():
    return TrunkFactory(exotel=True, name="main")


def attempt_on(trunk, **columns):
    call = CallFactory(in_progress=True, number=columns.pop("number", NUMBERS[0]))
    account = trunk.carrier_account
    return CallAttemptFactory(call=call, in_progress=True, trunk=trunk, carrier_account=account, **columns)


def ask(client, trunk, **fields):
    address = links.passthru_url(trunk.pk)
    return client.get("/" + address.split("/", 3)[3], {**dict([address.partition("?")[2].split("=")]), **fields})


def digits(trunk):
    inbox.settle_batch(CallAttempt.objects.get().claimed_at)
    return CallAttempt.objects.get().digits


def test_keys_in_double_quotes_are_noted_for_the_call_of_that_id(client, redis, trunk):
    attempt_on(trunk, carrier_ref="abc")
    assert ask(client, trunk, CallSid="abc", digits='"12"').status_code == 200
    assert digits(trunk) == "12"


def test_the_keys_of_several_applets_are_kept_in_their_order(client, redis, trunk):
    attempt_on(trunk, carrier_ref="abc")
    for pressed in ('"1"', '"*"', '"22"'):
        assert ask(client, trunk, CallSid="abc", digits=pressed).status_code == 200
    assert digits(trunk) == "1*22"


def test_a_call_whose_id_was_lost_with_the_reply_is_found_by_its_number(client, redis, trunk):
    attempt_on(trunk, carrier_ref="")
    assert ask(client, trunk, CallSid="abc", CallFrom="0" + NUMBERS[0][3:], digits='"7"').status_code == 200
    assert digits(trunk) == "7"


def test_a_number_that_is_under_way_twice_names_no_call(client, redis, trunk):
    for _ in range(2):
        attempt_on(trunk, carrier_ref="")
    assert ask(client, trunk, CallSid="abc", CallFrom=NUMBERS[0], digits='"7"').status_code == 302
    assert not CarrierEvent.objects.exists()


def test_of_two_calls_to_a_number_the_custom_field_of_the_campaign_tells_which(client, redis, trunk):
    fees, exams = (attempt_on(trunk, carrier_ref="") for _ in range(2))
    for attempt, passed in ((fees, "fees"), (exams, "exams")):
        CustomField.objects.create(campaign=attempt.campaign, value=passed)
    asked = {"CallSid": "abc", "CallFrom": NUMBERS[0], "digits": '"7"'}
    assert ask(client, trunk, CustomField="exams", **asked).status_code == 200
    assert CarrierEvent.objects.get().attempt_id == exams.pk
    assert ask(client, trunk, CustomField="other", **asked).status_code == 302


@pytest.mark.parametrize("fields", [{}, {"digits": ""}, {"digits": '""'}, {"digits": '"hello"'}])
def test_without_keys_nothing_is_noted_and_the_flow_goes_the_other_way(client, redis, trunk, fields):
    attempt_on(trunk, carrier_ref="abc")
    assert ask(client, trunk, CallSid="abc", **fields).status_code == 302
    assert not CarrierEvent.objects.exists()


def test_a_call_of_another_trunks_account_is_not_found(client, redis, trunk):
    attempt_on(TrunkFactory(exotel=True, account_sid="operator2"), carrier_ref="abc")
    assert ask(client, trunk, CallSid="abc", CallFrom=NUMBERS[0], digits='"1"').status_code == 302
    assert not CarrierEvent.objects.exists()


def test_the_address_of_another_trunk_or_carrier_is_refused(client, trunk):
    other = TrunkFactory(exotel=True, account_sid="operator2")
    token = links.passthru_url(other.pk).partition("=")[2]
    assert client.get(f"/passthru/{trunk.pk}", {"token": token}).status_code == 403
    assert ask(client, TrunkFactory(twilio=True)).status_code == 403


def test_the_command_prints_the_address(trunk):
    said = StringIO()
    call_command("passthru_address", "main", stdout=said)
    assert said.getvalue().strip() == links.passthru_url(trunk.pk)
    with pytest.raises(CommandError, match="there is no trunk other; there is: main"):
        call_command("passthru_address", "other")
