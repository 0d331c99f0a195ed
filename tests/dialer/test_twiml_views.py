"""A call over Twilio from the claim to the report: the flow is asked for step by step, and its keys are kept."""

from email.utils import format_datetime
from xml.etree import ElementTree as ET

import pytest
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import VoiceResponse

from campaigns.flow_interpreter import Ask, Connect, HangUp, Place, Play, Say
from dialer import links, twiml_documents
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.dialer import twilio
from tests.factories import CallerIdFactory, FlowFactory, TrunkFactory

MENU = {
    "steps": [
        {"say": "Hello"},
        {
            "gather": {
                "prompt": [{"say": "Press 1 or #"}],
                "attempts": 2,
                "branches": {
                    "1": [{"gather": {"digits": 3, "branches": {"*12": [{"connect": "+912222222222"}]}}}],
                    "#": [{"say": "Bye"}],
                },
            }
        },
    ]
}


@pytest.fixture
def carrier_api():
    with twilio.twilio() as stand_in:
        yield stand_in


@pytest.fixture
def line(rig, carrier_api):
    """A caller ID over a trunk at Twilio."""
    trunk = TrunkFactory(
        carrier="twilio",
        base_url=carrier_api.url,
        account_sid=twilio.ACCOUNT_SID,
        api_key=twilio.ACCOUNT_SID,
        api_token=twilio.TOKEN,
    )
    return CallerIdFactory(account=rig.account, trunk=trunk)


class Phone:
    """Twilio's side of one call: sends signed requests, and follows the addresses of the documents."""

    def __init__(self, client, form):
        self._client = client
        self._callback = form["StatusCallback"][0]
        self.url = form["Url"][0]

    def _post(self, url, fields, signature=None):
        fields = {"CallSid": "CA1", "AccountSid": twilio.ACCOUNT_SID, **fields}
        signed = RequestValidator(twilio.TOKEN).compute_signature(
            url, MultiValueDict({k: [v] for k, v in fields.items()})
        )
        headers = {"X-Twilio-Signature": signed if signature is None else signature}
        path = "/" + url.split("/", 3)[3]
        return self._client.post(path, fields, headers=headers)

    def next(self, signature=None, **fields):
        """Ask what comes next. Returns the document's verbs, and remembers where a gather goes."""
        response = self._post(self.url, {"CallStatus": "in-progress", **fields}, signature)
        if response.status_code != 200:
            return response.status_code
        assert response["Content-Type"] == "text/xml; charset=utf-8"
        document = ET.fromstring(response.content)
        if (gather := document.find("Gather")) is not None:
            self.url = gather.attrib["action"]
        return [verb.tag if verb.text is None else f"{verb.tag} {verb.text}" for verb in document]

    def tell(self, status, **fields):
        fields = {"CallStatus": status, "Timestamp": format_datetime(timezone.now()), **fields}
        assert self._post(self._callback, fields).status_code == 204


@pytest.fixture
def call(rig, line, carrier_api, client):
    """Start a campaign of one call over Twilio. Returns its phone."""

    def start(**columns):
        columns = {"flow": FlowFactory(account=rig.account, document=MENU)} | columns
        rig.campaign(NUMBERS[:1], caller_id=line, **columns)
        rig.tick()
        return Phone(client, carrier_api.forms[-1])

    return start


def attempt():
    return CallAttempt.objects.select_related("call").get()


def test_a_call_goes_through_its_flow_and_its_keys_are_kept(rig, call):
    phone = call()
    for status in ("initiated", "ringing", "in-progress"):
        phone.tell(status)
    assert phone.next() == ["Say Hello", "Gather"]
    assert phone.next(Digits="") == ["Gather"]
    assert phone.next(Digits="1") == ["Gather"]
    assert phone.next(Digits="*12") == ["Dial +912222222222", "Hangup"]
    rig.settle()
    assert (attempt().status, attempt().digits) == ("in-progress", "1*12")
    phone.tell("completed", CallDuration="9")
    rig.settle()
    assert (attempt().status, attempt().digits, attempt().duration_seconds) == ("completed", "1*12", 9)
    assert attempt().call.status == "completed"


def test_keys_are_kept_when_the_callee_hangs_up_before_they_were_settled(rig, call):
    phone = call()
    phone.next()
    phone.next(Digits="1")
    phone.tell("completed", CallDuration="4")
    rig.settle()
    assert (attempt().status, attempt().digits) == ("completed", "1")


def test_a_text_is_read_and_repeated_like_a_flow(rig, call):
    columns = {"flow": None, "flow_url": "", "text": "Fees & <dates>", "flow_type": "ivr", "repeat_menu_attempts": 1}
    phone = call(**columns)
    assert phone.next() == phone.next(Digits="") == ["Gather"]
    assert phone.next(Digits="") == ["Hangup"]


def test_a_flow_that_was_changed_during_the_call_ends_it(rig, call):
    phone = call()
    phone.next()
    flow = attempt().campaign.flow
    flow.document = {"steps": [{"say": "Another"}]}
    flow.save()
    assert phone.next(Digits="1") == ["Hangup"]
    rig.settle()
    assert attempt().digits == "1"


@pytest.mark.parametrize("signature", ["", "forged"])
def test_a_request_that_the_carrier_has_not_signed_is_refused(call, signature):
    assert call().next(signature=signature, Digits="1") == 403


def test_an_address_with_another_attempts_token_is_refused(call):
    phone = call()
    other = links.twiml_url(CallAttempt().pk)
    phone.url = f"{phone.url.partition('?')[0]}?{other.partition('?')[2]}"
    assert phone.next() == 403


def test_what_is_pressed_can_be_no_more_than_keys(rig, call):
    phone = call()
    phone.next()
    phone.next(Digits="1<script>" + "9" * 500)
    rig.settle()
    assert attempt().digits == "1" + "9" * 254


# Documents -----------------------------------------------------------------------------------------------------------


def test_a_document_is_what_twilios_own_package_writes():
    prompt = (Say("Fees < dues & fines"), Play("https://client.example/a.wav?x=1&y=2"))
    written = twiml_documents.write(
        [Say("Hello"), Connect("+912222222222"), Ask(prompt, 2, 4.5, Place(("1",)))],
        lambda place: f"/next?at={place}&t",
    )
    expected = VoiceResponse()
    expected.say("Hello")
    expected.dial("+912222222222")
    gather = expected.gather(
        input="dtmf",
        num_digits=2,
        timeout=5,
        finish_on_key="",
        action_on_empty_result=True,
        action="/next?at=1.1&t",
        method="POST",
    )
    gather.say("Fees < dues & fines")
    gather.play("https://client.example/a.wav?x=1&y=2")
    assert ET.canonicalize(written) == ET.canonicalize(str(expected))


@given(st.text(min_size=1))
def test_any_text_makes_a_document_that_can_be_read(text):
    [say, _] = ET.fromstring(twiml_documents.write([Say(text), HangUp()], lambda place: ""))
    assert say.text
    assert len(say.text.replace("\n", "")) <= len(text)
