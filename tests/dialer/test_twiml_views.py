"""A call over Twilio from the claim to the report: the flow is asked for step by step, and its keys are kept."""

import json
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import quote, urlencode
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import VoiceResponse

from campaigns import flow_interpreter, lifecycle
from campaigns.flow_interpreter import Ask, Connect, HangUp, Place, Play, Record, RecordCall, Say
from campaigns.flow_lengths import longest_stretch
from campaigns.models import Campaign, Flow
from contacts.models import DoNotCall
from core.redis_client import redis_client
from dialer import event_signatures, links, reconciliation, transfers, twiml_documents
from dialer.carriers.twiml import LONGEST_STRETCH
from dialer.channels import Scope
from dialer.models import CallAttempt, Recording, Transfer
from tests.conftest import NUMBERS, leases
from tests.dialer import twilio
from tests.factories import ACTOR, CallerIdFactory, FlowFactory, TrunkFactory

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
        self.error_url = form["FallbackUrl"][0]
        self.url = form["Url"][0]

    def _post(self, url, fields, signature=None):
        fields = {"CallSid": "CA1", "AccountSid": twilio.ACCOUNT_SID, **fields}
        signed = RequestValidator(twilio.TOKEN).compute_signature(
            url, MultiValueDict({k: [v] for k, v in fields.items()})
        )
        headers = {"X-Twilio-Signature": signed if signature is None else signature}
        path = "/" + url.split("/", 3)[3]
        kind = "application/x-www-form-urlencoded"
        return self._client.post(path, urlencode(fields), content_type=kind, headers=headers)

    def next(self, signature=None, **fields):
        """Ask what comes next. Returns the document's verbs, and remembers where a gather goes."""
        response = self._post(self.url, {"CallStatus": "in-progress", **fields}, signature)
        if response.status_code != 200:
            return response.status_code
        assert response["Content-Type"] == "text/xml; charset=utf-8"
        document = ET.fromstring(response.content)
        self.verbs = {verb.tag: dict(verb.attrib) for verb in document}
        self.started = {noun.tag: dict(noun.attrib) for start in document.iter("Start") for noun in start}
        for waits in (*document.iter("Gather"), *document.iter("Dial"), *document.iter("Record")):
            self.url = waits.attrib["action"]
        for redirect in document.iter("Redirect"):
            self.url = redirect.text
        return [verb.tag if verb.text is None else f"{verb.tag} {verb.text}" for verb in document]

    def fails(self, code="11200", signature=None):
        """Say that the last document could not be read. Returns the document that follows, or the status."""
        told = {"CallStatus": "in-progress", "ErrorCode": code, "ErrorUrl": self.url}
        response = self._post(self.error_url, told, signature)
        if response.status_code != 200:
            return response.status_code
        assert response["Content-Type"] == "text/xml; charset=utf-8"
        return ET.fromstring(response.content)

    def post(self, url, fields, signature=None):
        return self._post(url, fields, signature).status_code

    def tell(self, status, signature=None, **fields):
        fields = {"CallStatus": status, "Timestamp": format_datetime(timezone.now()), **fields}
        return self._post(self._callback, fields, signature).status_code


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
    assert phone.next(Digits="*12") == ["Dial"]
    assert phone.next(DialCallStatus="completed") == ["Hangup"]
    rig.settle()
    assert (attempt().status, attempt().digits) == ("in-progress", "1*12")
    phone.tell("completed", CallDuration="9")
    rig.settle()
    assert (attempt().status, attempt().digits, attempt().duration_seconds) == ("completed", "1*12", 9)
    assert attempt().call.status == "completed"


def test_keys_of_a_call_are_kept_when_its_trunk_gets_another_carrier_meanwhile(rig, call, line):
    phone = call()
    phone.next()
    trunk = line.trunk
    trunk.carrier = "exotel"
    trunk.save()
    phone.next(Digits="1")
    rig.settle()
    assert attempt().digits == "1"


ANNOUNCED = {"steps": [{"say": "We connect you"}, {"connect": "+912222222222"}]}
SERVICE = {
    "steps": [
        {"connect": {"numbers": ["+912222222221", "+912222222222"], "otherwise": [{"say": "All busy"}]}},
        {"say": "Bye"},
    ]
}


def test_a_first_document_that_could_not_be_read_is_asked_for_once_more(call):
    phone = call()
    pause, redirect = phone.fails()
    assert (pause.tag, redirect.tag, redirect.get("method")) == ("Pause", "Redirect", "POST")
    phone.url = redirect.text
    assert phone.next() == ["Say Hello", "Gather"]
    phone.url = redirect.text
    assert [verb.tag for verb in phone.fails()] == ["Hangup"]


def test_a_later_document_that_could_not_be_read_ends_the_call_and_rings_nobody(call, rig):
    phone = call(flow=FlowFactory(account=rig.account, document=SERVICE))
    assert phone.next() == ["Dial"]
    assert [verb.tag for verb in phone.fails()] == ["Hangup"]
    assert Transfer.objects.count() == 1


def test_only_the_carrier_says_that_a_document_could_not_be_read(call):
    phone = call()
    assert phone.fails(signature="wrong") == 403
    phone.error_url = phone.error_url.replace("token=", "token=x")
    assert phone.fails() == 403


RECORDING = {
    "steps": [{"say": "Speak"}, {"record": {"seconds": 90, "silence": 3, "finish_key": "*"}}, {"say": "Thanks"}]
}
AT_TWILIO = "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1"


def recorded():
    return list(Recording.objects.values_list("place", "url", "file", "seconds"))


@pytest.fixture
def recording_phone(rig, call):
    phone = call(flow=FlowFactory(account=rig.account, document=RECORDING))
    assert phone.next() == ["Say Speak", "Record", f"Redirect {phone.url}"]
    return phone


def test_a_callee_is_recorded_and_the_flow_goes_on(recording_phone):
    phone = recording_phone
    verb = phone.verbs["Record"]
    asked = {name: verb[name] for name in ("maxLength", "timeout", "finishOnKey", "playBeep", "trim")}
    assert asked == {"maxLength": "90", "timeout": "3", "finishOnKey": "*", "playBeep": "true", "trim": "do-not-trim"}
    assert verb["action"] == phone.url
    heard = {"RecordingUrl": AT_TWILIO, "RecordingDuration": "7", "Digits": "*"}
    assert phone.next(**heard) == ["Say Thanks", "Hangup"]
    # Told once more, and only then: the callee may have hung up meanwhile.
    assert phone.post(verb["recordingStatusCallback"], {"RecordingStatus": "completed", **heard}) == 204
    assert recorded() == [("1.1", AT_TWILIO, "", 7)]


def test_where_nobody_spoke_the_flow_goes_on_without_a_recording(recording_phone):
    assert recording_phone.next() == ["Say Thanks", "Hangup"]
    assert recorded() == []


def test_a_recording_of_a_callee_who_has_hung_up_is_told_later(rig, recording_phone):
    phone = recording_phone
    phone.tell("completed", CallDuration="9")
    rig.settle()
    told = {"RecordingUrl": AT_TWILIO, "RecordingDuration": "4"}
    assert phone.post(phone.verbs["Record"]["recordingStatusCallback"], told) == 204
    assert recorded() == [("1.1", AT_TWILIO, "", 4)]


@pytest.mark.parametrize(
    ("change", "status"),
    [({"token=": "token=x"}, 403), ({"place=1.1": "place=a"}, 400), ({}, 204)],
)
def test_who_tells_of_a_recording_must_be_the_carrier(recording_phone, change, status):
    url = recording_phone.verbs["Record"]["recordingStatusCallback"]
    for old, new in change.items():
        url = url.replace(old, new)
    assert recording_phone.post(url, {"RecordingUrl": "javascript:alert(1)", "RecordingDuration": "4"}) == status
    assert recording_phone.post(url, {"RecordingUrl": AT_TWILIO}, signature="wrong") == 403
    assert recorded() == []


def test_a_call_is_recorded_from_a_step_on_and_where_that_is_comes_after_its_end(rig, call):
    document = {"steps": [{"say": "You are recorded"}, {"record_call": True}, MENU["steps"][1]]}
    phone = call(flow=FlowFactory(account=rig.account, document=document))
    assert phone.next() == ["Say You are recorded", "Start", "Gather"]
    made = phone.started["Recording"]["recordingStatusCallback"]
    # A question that is asked again begins no other recording.
    assert phone.next(Digits="") == ["Gather"]
    phone.tell("completed", CallDuration="9")
    rig.settle()
    told = {"RecordingStatus": "completed", "RecordingUrl": AT_TWILIO, "RecordingDuration": "8"}
    assert phone.post(made, told) == phone.post(made, told) == 204
    assert recorded() == [("1.1", AT_TWILIO, "", 8)]
    assert phone.post(made, {"RecordingStatus": "absent"}) == 204
    assert len(recorded()) == 1


@pytest.mark.parametrize(
    ("outcomes", "last"),
    [
        (["completed"], ["Say Bye", "Hangup"]),
        (["busy", "answered"], ["Say Bye", "Hangup"]),
        (["no-answer", "failed"], ["Say All busy", "Say Bye", "Hangup"]),
    ],
)
def test_a_flow_goes_on_as_the_call_to_another_number_has_ended(rig, call, outcomes, last):
    phone = call(flow=FlowFactory(account=rig.account, document=SERVICE))
    assert phone.next() == ["Dial"]
    for outcome in outcomes[:-1]:
        assert phone.next(DialCallStatus=outcome) == ["Dial"]
    assert phone.next(DialCallStatus=outcomes[-1]) == last


@pytest.mark.parametrize(
    ("numbers", "verbs"),
    [
        (["+912222222221", "+912222222222"], ["Dial"]),
        (["+18005550123"], ["Say All busy", "Say Bye", "Hangup"]),
        (["+911861123456789"], ["Say All busy", "Say Bye", "Hangup"]),
        (["+911800112233"], ["Dial"]),
    ],
)
def test_a_flow_connects_nobody_to_a_number_that_the_account_must_not_call(rig, call, numbers, verbs):
    """A listed one, one of another country, a premium-rate one; a toll-free one is rung for the callee."""
    DoNotCall.objects.create(account=rig.account, number="+912222222221", source="csv", added_at=timezone.now())
    connect = {"numbers": numbers, "otherwise": [{"say": "All busy"}]}
    document = {"steps": [{"connect": connect}, {"say": "Bye"}]}
    phone = call(flow=FlowFactory(account=rig.account, document=document))
    assert phone.next() == verbs
    if len(numbers) > 1:
        assert phone.next(DialCallStatus="busy") == ["Say All busy", "Say Bye", "Hangup"]


MACHINES = MENU | {"machine": [{"say": "Call us back"}, {"play": "https://client.example/a.wav"}]}


@pytest.mark.parametrize(
    ("policy", "told", "verbs", "answered_by"),
    [
        ("hang-up", "machine_start", ["Hangup"], "machine"),
        ("hang-up", "fax", ["Hangup"], "machine"),
        ("hang-up", "human", ["Say Hello", "Gather"], "human"),
        ("hang-up", "unknown", ["Say Hello", "Gather"], "unknown"),
        (
            "leave-message",
            "machine_end_beep",
            ["Say Call us back", "Play https://client.example/a.wav", "Hangup"],
            "machine",
        ),
        ("leave-message", "human", ["Say Hello", "Gather"], "human"),
        ("as-a-person", "machine_start", ["Say Hello", "Gather"], "machine"),
        ("off", None, ["Say Hello", "Gather"], ""),
    ],
)
def test_a_machine_gets_what_the_campaign_says_and_who_answered_is_kept(rig, call, policy, told, verbs, answered_by):
    phone = call(flow=FlowFactory(account=rig.account, document=MACHINES), machine_detection=policy)
    assert phone.next(**({"AnsweredBy": told} if told else {})) == verbs
    phone.tell("completed", CallDuration="9")
    rig.settle()
    assert (attempt().status, attempt().answered_by) == ("completed", answered_by)


def test_a_text_is_the_message_for_a_machine(rig, call):
    text = {"flow": None, "flow_url": "", "text": "Fees are due", "flow_type": "ivr", "repeat_menu_attempts": 2}
    assert call(**text, machine_detection="leave-message").next(AnsweredBy="machine_end_other") == [
        "Say Fees are due",
        "Hangup",
    ]


@pytest.mark.parametrize(
    ("policy", "asked"), [("off", None), ("hang-up", "Enable"), ("leave-message", "DetectMessageEnd")]
)
def test_the_carrier_listens_for_machines_only_where_the_campaign_asks(rig, call, carrier_api, policy, asked):
    call(flow=FlowFactory(account=rig.account, document=MACHINES), machine_detection=policy)
    [form] = carrier_api.forms
    assert form.get("MachineDetection") == ([asked] if asked else None)


@pytest.fixture
def served(rig, call):
    """A call whose flow connects it to one of two numbers."""
    return lambda **columns: call(flow=FlowFactory(account=rig.account, document=SERVICE), **columns)


def legs():
    columns = ("number", "outcome", "talk_seconds", "ended_at")
    return [
        (number[-1], outcome, talked, ended_at is not None)
        for number, outcome, talked, ended_at in Transfer.objects.order_by("pk").values_list(*columns)
    ]


def held(scope, row):
    return redis_client().zcard(Scope(scope, row.pk, 0).key)


def test_a_call_to_another_number_is_a_channel_and_has_a_record(rig, served, line):
    phone = served()
    phone.next()
    assert (leases(rig.account), held("trunk", line.trunk), held("caller-id", line)) == (2, 2, 1)
    assert (legs(), reconciliation.reconcile()) == ([("1", "", None, False)], reconciliation.Discrepancies(0, 0))
    rig.clock.shift(timedelta(seconds=20))
    phone.next(DialCallStatus="no-answer")
    assert leases(rig.account) == 2
    rig.clock.shift(timedelta(seconds=22))
    phone.next(DialCallStatus="completed", DialCallDuration="12")
    assert (leases(rig.account), held("trunk", line.trunk)) == (1, 1)
    assert legs() == [("1", "no-answer", None, True), ("2", "completed", 12, True)]
    assert [leg.ring_seconds for leg in Transfer.objects.order_by("pk")] == [20, 10]


def test_a_leg_that_is_asked_for_twice_at_once_takes_one_channel(rig, served, line):
    phone = served()
    phone.next()
    [leg] = Transfer.objects.all()
    asked = CallAttempt.objects.select_related("account", "trunk").get()
    # The other request looked before this one had noted its leg.
    other = Transfer(pk=uuid4(), attempt=asked, account=rig.account, place=leg.place, number=leg.number)
    assert transfers._claim(asked, other) == leg
    assert (leases(rig.account), held("trunk", line.trunk)) == (2, 2)
    assert reconciliation.reconcile() == reconciliation.Discrepancies(0, 0)


def test_a_leg_that_is_asked_for_twice_at_once_is_not_rung_where_the_gate_has_shut_in_between(rig, served, monkeypatch):
    phone = served()
    question = phone.url
    why_shut = transfers._why_shut

    def shut_and_claimed_meanwhile(attempt, leg, now):
        # The twin has found the gate open, and has committed its leg, but not its intent.
        monkeypatch.setattr(transfers, "_why_shut", why_shut)
        twin = Transfer(pk=uuid4(), attempt=attempt, account=rig.account, place=leg.place, number=leg.number)
        twin.started_at = now
        assert transfers._claim(attempt, twin) == twin
        lifecycle.pause(Campaign.objects.get(), actor=ACTOR)
        return why_shut(attempt, leg, now)

    monkeypatch.setattr(transfers, "_why_shut", shut_and_claimed_meanwhile)
    assert phone.next() == ["Say All busy", "Say Bye", "Hangup"]
    first = Transfer.objects.earliest("pk")
    assert (first.rule, first.placing_at, first.outcome) == ("paused", None, "failed")
    assert leases(rig.account) == 1
    phone.url = question
    assert phone.next() == ["Say All busy", "Say Bye", "Hangup"], "the twin finds its leg ended"


def change_flow(document):
    Flow.objects.update(document=document)


def test_a_number_that_the_flow_got_meanwhile_is_not_rung_without_the_gate(rig, served):
    phone = served()
    question = phone.url
    phone.next()
    dialed = phone.url
    DoNotCall.objects.create(account=rig.account, number="+912222222229", source="csv", added_at=timezone.now())
    change_flow(json.loads(json.dumps(SERVICE).replace("+912222222221", "+912222222229")))
    phone.url = question
    assert phone.next() == ["Dial"], "the flow goes on with its next number"
    assert (legs(), leases(rig.account)) == ([("1", "canceled", None, True), ("2", "", None, False)], 2)
    phone.url = question
    phone.next()
    assert leases(rig.account) == 2
    phone.url = dialed
    phone.next(DialCallStatus="completed", DialCallDuration="5")
    assert legs()[0] == ("1", "completed", 5, True), "the first document was followed after all"


def test_a_number_that_the_flow_got_during_the_text_before_it_passes_the_gate(rig, call):
    phone = call(flow=FlowFactory(account=rig.account, document=ANNOUNCED))
    assert phone.next() == ["Say We connect you", f"Redirect {phone.url}"]
    changed = json.loads(json.dumps(ANNOUNCED).replace("+912222222222", "+918888888888"))
    change_flow(changed)
    assert (phone.next(), legs()) == (["Dial"], [("8", "", None, False)])


def test_a_flow_that_lost_its_connect_during_the_text_before_it_ends_the_call(rig, call):
    phone = call(flow=FlowFactory(account=rig.account, document=ANNOUNCED))
    phone.next()
    change_flow({"steps": [{"say": "Another"}, {"say": "text"}]})
    assert (phone.next(), legs()) == (["Hangup"], [])


def test_keys_are_kept_over_the_text_before_a_connect_and_are_not_pressed_twice(rig, call):
    gather = {"digits": 2, "branches": {"12": ANNOUNCED["steps"]}}
    phone = call(flow=FlowFactory(account=rig.account, document={"steps": [{"gather": gather}]}))
    phone.next()
    assert phone.next(Digits="12")[0] == "Say We connect you"
    assert phone.next(Digits="12") == ["Dial"], "carriers may bring along what they had told before"
    assert phone.next(DialCallStatus="completed") == ["Hangup"]
    rig.settle()
    assert attempt().digits == "12"


@pytest.mark.parametrize(
    ("step", "verbs"),
    [
        ({"play": "https://client.example/a.wav"}, ["Play https://client.example/a.wav", "Redirect"]),
        ({"opt_out": True}, ["Dial"]),
        ({"record_call": True}, ["Start", "Dial"]),
    ],
)
def test_a_connect_is_asked_for_again_only_after_what_is_heard(rig, call, step, verbs):
    document = {"steps": [step, {"connect": "+912222222222"}]}
    phone = call(flow=FlowFactory(account=rig.account, document=document))
    assert [verb.removesuffix(f" {phone.url}") for verb in phone.next()] == verbs


def test_what_is_said_between_two_connects_is_heard_before_the_second_is_asked_for(rig, call):
    first = {"connect": {"numbers": ["+912222222221"], "otherwise": [{"say": "Busy"}]}}
    phone = call(flow=FlowFactory(account=rig.account, document={"steps": [first, *ANNOUNCED["steps"]]}))
    assert phone.next() == ["Dial"]
    assert phone.next(DialCallStatus="busy") == ["Say Busy", "Say We connect you", f"Redirect {phone.url}"]
    assert (legs(), leases(rig.account)) == ([("1", "busy", None, True)], 1)
    assert phone.next() == ["Dial"]


def test_a_connect_whose_document_could_not_be_read_is_asked_for_once_more(rig, call):
    phone = call(flow=FlowFactory(account=rig.account, document=ANNOUNCED))
    phone.next()
    question = phone.url
    phone.next()
    phone.url = question
    _, redirect = phone.fails()
    phone.url = redirect.text
    assert (phone.next(), len(legs())) == (["Dial"], 1)
    phone.url = redirect.text
    assert [verb.tag for verb in phone.fails()] == ["Hangup"]


def test_a_leg_that_is_asked_for_again_much_later_passes_the_gate_again(rig, served):
    phone = served()
    question = phone.url
    phone.next()
    rig.clock.shift(timedelta(seconds=30))
    phone.url = question
    assert phone.next() == ["Dial"], "it lets it through"
    lifecycle.pause(Campaign.objects.get(), actor=ACTOR)
    phone.url = question
    assert phone.next() == ["Dial"], "it was asked a moment ago"
    rig.clock.shift(timedelta(seconds=30))
    phone.url = question
    assert phone.next() == ["Say All busy", "Say Bye", "Hangup"]
    assert Transfer.objects.get(place="0.1").rule == "paused"
    assert leases(rig.account) == 1


@pytest.mark.parametrize("scope", ["account", "trunk"])
def test_without_a_free_channel_the_flow_goes_on_as_if_nobody_took_the_call(rig, served, line, scope):
    limited = rig.account if scope == "account" else line.trunk
    limited.channels = 1
    limited.save()
    assert served().next() == ["Say All busy", "Say Bye", "Hangup"]
    assert (legs(), leases(rig.account)) == ([], 1)


def test_a_number_is_rung_once_however_often_the_carrier_asks(rig, served):
    phone = served()
    first = phone.url
    assert phone.next() == ["Dial"]
    second = phone.url
    phone.url = first
    assert phone.next() == ["Dial"]
    assert (len(legs()), leases(rig.account)) == (1, 2)
    phone.url = second
    assert phone.next(DialCallStatus="completed", DialCallDuration="3") == ["Say Bye", "Hangup"]
    phone.url = first
    assert phone.next() == ["Say Bye", "Hangup"]
    assert legs() == [("1", "completed", 3, True)]


def test_a_leg_ends_with_its_call_and_was_taken_if_the_carrier_says_so_afterwards(rig, served):
    phone = served()
    phone.next()
    dial = phone.url
    phone.tell("completed", CallDuration="9")
    rig.settle()
    assert (legs(), leases(rig.account)) == ([("1", "canceled", None, True)], 0)
    assert phone.next(DialCallStatus="completed", DialCallDuration="9") == ["Say Bye", "Hangup"]
    assert legs() == [("1", "completed", 9, True)], "a cap of conversations counts it"
    phone.url = dial
    phone.next(DialCallStatus="busy")
    assert legs() == [("1", "completed", 9, True)]


def test_a_call_that_has_ended_rings_nobody_else(rig, served):
    phone = served()
    phone.tell("completed", CallDuration="9")
    rig.settle()
    assert phone.next() == ["Say All busy", "Say Bye", "Hangup"]
    assert legs() == []


def test_the_channels_of_legs_are_found_again_when_redis_has_lost_its_memory(rig, served):
    served().next()
    redis_client().flushdb()
    reconciliation.rebuild()
    assert leases(rig.account) == 2


def test_a_leg_is_taken_after_redis_has_lost_its_memory(rig, served):
    phone = served()
    redis_client().flushdb()
    assert phone.next() == ["Dial"]
    assert leases(rig.account) == 2


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


@pytest.fixture
def known_keys():
    """Forget the trunks of other tests."""
    event_signatures.keys.forget()
    yield
    event_signatures.keys.forget()


@pytest.mark.usefixtures("known_keys")
def test_an_event_that_the_carrier_has_not_signed_is_refused(rig, call):
    phone = call()
    assert phone.tell("completed", signature="") == 403
    assert phone.tell("completed", signature="forged") == 403
    rig.settle()
    assert attempt().status == "in-progress"
    assert phone.tell("completed") == 204
    rig.settle()
    assert attempt().status == "completed"


@pytest.mark.usefixtures("known_keys")
def test_an_event_may_be_signed_for_any_trunk_of_the_carrier_and_not_at_all_where_one_has_no_key(rig, call, line):
    phone = call()
    line.trunk.api_token = "another"
    line.trunk.save()
    assert phone.tell("ringing") == 403
    event_signatures.keys.forget()
    other = TrunkFactory(
        carrier="twilio", base_url="https://b.example", account_sid="AC2", api_key="AC2", api_token=twilio.TOKEN
    )
    assert phone.tell("ringing") == 204
    other.api_key = "SK1"
    other.save()
    event_signatures.keys.forget()
    assert phone.tell("ringing", signature="") == 204


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


def _after(place):
    return f"/next?at={place}&t"


def _made(place):
    return f"/made?at={place}&t"


def _rings(place):
    return f"/rings?at={place}&t"


ADDRESSES = twiml_documents.Addresses(_after, _rings, _made)


def test_a_document_is_what_twilios_own_package_writes():
    prompt = (Say("Fees < dues & fines"), Play("https://client.example/a.wav?x=1&y=2"))
    written = twiml_documents.write(
        [Say("Namaste", "hi-IN", "Polly.Aditi"), Ask(prompt, 2, 4.5, Place(("1",)), finish_key="#")],
        ADDRESSES,
    )
    expected = VoiceResponse()
    expected.say("Namaste", language="hi-IN", voice="Polly.Aditi")
    gather = expected.gather(
        input="dtmf",
        num_digits=2,
        timeout=5,
        finish_on_key="#",
        action_on_empty_result=True,
        action="/next?at=1.1&t",
        method="POST",
    )
    gather.say("Fees < dues & fines")
    gather.play("https://client.example/a.wav?x=1&y=2")
    assert ET.canonicalize(written) == ET.canonicalize(str(expected))


def test_another_call_is_written_as_twilios_own_package_writes_it():
    connect = Connect("+912222222222", 20, Place(("1",)))
    written = twiml_documents.write([connect], ADDRESSES, "+14155550100")
    expected = VoiceResponse()
    dial = expected.dial(timeout=20, action="/next?at=1.1&t", method="POST", caller_id="+14155550100")
    dial.number("+912222222222")
    assert ET.canonicalize(written) == ET.canonicalize(str(expected))


def test_a_recording_is_written_as_twilios_own_package_writes_it():
    written = twiml_documents.write([Record(9, 2, "*", False, Place(("1",)))], ADDRESSES)
    expected = VoiceResponse()
    expected.record(
        max_length=9,
        timeout=2,
        finish_on_key="*",
        play_beep=False,
        trim="do-not-trim",
        action="/next?at=1.1&t",
        method="POST",
        recording_status_callback="/made?at=1.1&t",
        recording_status_callback_method="POST",
    )
    expected.redirect("/next?at=1.1&t", method="POST")
    assert ET.canonicalize(written) == ET.canonicalize(str(expected))


def test_a_recording_of_the_call_is_written_as_twilios_own_package_writes_it():
    written = twiml_documents.write([RecordCall(Place(("1",)))], ADDRESSES)
    expected = VoiceResponse()
    expected.start().recording(
        channels="dual",
        recording_status_callback="/made?at=1.1&t",
        recording_status_callback_method="POST",
    )
    assert ET.canonicalize(written) == ET.canonicalize(str(expected))


@given(st.text(min_size=1))
def test_any_text_makes_a_document_that_can_be_read(text):
    [say, _] = ET.fromstring(twiml_documents.write([Say(text), HangUp()], ADDRESSES))
    assert say.text
    assert len(say.text.replace("\n", "")) <= len(text)


SENTENCE = "कल कोई कक्षा नहीं होगी। "


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("Short", "Short"),
        ("There is no class tomorrow. " * 140, "There is no class tomorrow. " * 107),
        (SENTENCE * 100, SENTENCE * 24),
        ("word " * 800, "word " * 600),
        ("x" * 4000, "x" * 3000),
        ("कि" * 2000, "कि" * 250),
        ("\U0001f600" * 1000, "\U0001f600" * 375),
        ("]]>&<" * 800, "]]>&<" * 300),
    ],
)
def test_a_long_text_is_said_in_pieces_that_the_carrier_can_hold(text, piece):
    """By Twilio's error 13521. Parted between sentences, else words, else letters."""
    *said, _ = ET.fromstring(twiml_documents.write([Say(text, "hi-IN"), HangUp()], ADDRESSES))
    pieces = [say.text or "" for say in said]
    assert pieces[0] == piece
    assert "".join(pieces) == text
    assert {say.get("language") for say in said} == {"hi-IN"}
    for held in pieces:
        assert len(held.encode()) <= 3000
        assert len(quote(held, safe="")) <= 4500


@given(st.text(st.sampled_from("ab .\n\u093f\u0915\u0964\U0001f600"), max_size=4000))
def test_no_text_is_lost_where_it_is_parted(text):
    pieces = list(twiml_documents.pieces_of(text))
    assert "".join(pieces) == text
    assert all(len(quote(piece, safe="")) <= 4500 for piece in pieces)
    assert all(pieces) or text == ""


def test_the_longest_that_a_flow_may_say_in_one_go_is_a_document_that_the_carrier_takes():
    """64 kB, by Twilio's error 11750."""
    for text in ("&" * 4000, "x" * 4000, "क" * 4000, "ab " * 1333):
        say = {"say": {"text": text, "language": "l" * 35, "voice": "v" * 64}}
        fits = max(steps for steps in range(1, 30) if longest_stretch({"steps": [say] * steps}) <= LONGEST_STRETCH)
        heard = [*flow_interpreter.start({"steps": [say] * fits})]
        assert len(twiml_documents.write(heard, ADDRESSES).encode()) <= 64_000
