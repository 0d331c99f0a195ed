"""The drivers of Twilio's family against a stand-in over real HTTP: what each reply and event means to the dialer."""

import base64
import hmac
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils.datastructures import MultiValueDict
from twilio.request_validator import RequestValidator

from dialer.carriers.base import (
    Accepted,
    Access,
    Ambiguous,
    AnothersCall,
    CallRequest,
    CantTell,
    Event,
    NoSuchCall,
    Placed,
    Received,
    Refused,
    TooLate,
    Unavailable,
    UnreadableEvent,
)
from dialer.carriers.twiml import SignalWireCarrier, TelnyxCarrier, TwilioCarrier
from tests.dialer import twilio

NUMBER, CALLER_ID = "+919810000001", "+14155550100"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def carrier_api():
    with twilio.twilio() as stand_in:
        yield stand_in


def access(url, **changes):
    return replace(Access(url, twilio.ACCOUNT_SID, twilio.ACCOUNT_SID, twilio.TOKEN), **changes)


@pytest.fixture
def carrier(carrier_api):
    return TwilioCarrier.connect(access(carrier_api.url))


def request(**changes):
    attempt_id = uuid4()
    asked = CallRequest(
        attempt_id=attempt_id,
        number=NUMBER,
        caller_id=CALLER_ID,
        flow_id="",
        flow_url=f"https://trunkline.example/twiml/{attempt_id.hex}?token=t",
        custom_field="",
        callback_url=f"https://trunkline.example/carrier-events/twilio/{attempt_id.hex}?token=t",
        ring_timeout=30,
        max_seconds=600,
        ask_before=datetime.now(UTC) + timedelta(seconds=60),
        error_url=f"https://trunkline.example/twiml/{attempt_id.hex}/error?token=t",
    )
    return replace(asked, **changes)


def place(carrier, asked):
    return carrier.place([asked])[asked.attempt_id]


def look_up(carrier, ref="", known=frozenset()):
    placed = Placed(uuid4(), NUMBER, CALLER_ID, datetime.now(UTC), ref, known)
    return carrier.look_up([placed])[placed.attempt_id]


def test_a_call_is_asked_for_with_our_addresses_and_all_four_events(carrier, carrier_api):
    asked = request()
    [sid] = [place(carrier, asked).carrier_ref]
    assert list(carrier_api.calls) == [sid]
    assert carrier_api.forms == [
        {
            "To": [NUMBER],
            "From": [CALLER_ID],
            "Url": [asked.flow_url],
            "StatusCallback": [asked.callback_url],
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "Timeout": ["30"],
            "TimeLimit": ["600"],
            "FallbackUrl": [asked.error_url],
        }
    ]


@pytest.mark.parametrize(
    ("driver", "path"),
    [
        (TwilioCarrier, f"/2010-04-01/Accounts/{twilio.ACCOUNT_SID}/Calls.json"),
        (SignalWireCarrier, f"/api/laml/2010-04-01/Accounts/{twilio.ACCOUNT_SID}/Calls.json"),
        (TelnyxCarrier, f"/v2/texml/Accounts/{twilio.ACCOUNT_SID}/Calls"),
    ],
)
def test_each_carrier_of_the_family_has_its_own_path(carrier_api, driver, path):
    assert isinstance(place(driver.connect(access(carrier_api.url)), request()), Accepted)
    assert carrier_api.paths == [f"POST {path}"]


@pytest.mark.parametrize(
    ("status", "code", "reply"),
    [
        (400, 21211, Refused),
        (400, 21212, Refused),
        (400, 21215, Refused),
        (400, 10004, Unavailable),
        (400, 86008, Unavailable),
        (401, 20003, Unavailable),
        (403, None, Refused),
        (404, 20404, Refused),
        (429, 20429, Unavailable),
        (301, None, Unavailable),
        (500, 20500, Ambiguous),
        (502, None, Ambiguous),
        (503, None, Unavailable),
        (504, None, Ambiguous),
        (200, None, Ambiguous),
    ],
)
def test_only_a_reply_that_says_so_means_that_no_phone_rang(carrier, carrier_api, status, code, reply):
    carrier_api.reply = status, {"code": code, "message": "words of the carrier"}
    given = place(carrier, request())
    assert isinstance(given, reply)
    assert "words of the carrier" in given.reason


@pytest.mark.parametrize(
    ("code", "is_the_numbers_own"), [(21211, True), (21214, True), (21212, False), (21215, False), (21219, False)]
)
def test_a_refusal_fails_its_number_only_where_its_code_names_it(carrier, carrier_api, code, is_the_numbers_own):
    carrier_api.reply = 400, {"code": code, "message": "words"}
    assert place(carrier, request()) == Refused(f"HTTP 400: error {code}: words", 400, is_the_numbers_own)


@pytest.mark.parametrize("body", [[], "text", {"sid": ""}, {"sid": None}])
def test_a_reply_that_makes_no_sense_does_not_say_whether_a_phone_rings(carrier, carrier_api, body):
    carrier_api.reply = 201, body
    assert isinstance(place(carrier, request()), Ambiguous)


def test_a_request_that_is_late_is_not_sent_any_more(carrier, carrier_api):
    assert place(carrier, request(ask_before=datetime.now(UTC) - timedelta(seconds=1))) == TooLate()
    assert carrier_api.paths == []


def test_a_carrier_that_is_not_there_takes_no_call():
    assert isinstance(place(TwilioCarrier.connect(access("http://127.0.0.1:9")), request()), Unavailable)


@pytest.mark.parametrize("driver", [TwilioCarrier, SignalWireCarrier, TelnyxCarrier])
def test_a_carrier_that_says_nothing_does_not_say_whether_a_phone_rings(driver, settings):
    settings.CARRIER_TIMEOUT_SECONDS = 0.2
    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        carrier = driver.connect(access(f"http://127.0.0.1:{nobody_accepts.getsockname()[1]}"))
        assert isinstance(place(carrier, request()), Ambiguous)
        assert isinstance(look_up(carrier), CantTell)


# Look-ups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress"])
def test_a_call_that_is_up_is_found_by_its_id_and_by_its_number(carrier, carrier_api, status):
    ref = place(carrier, request()).carrier_ref
    carrier_api.calls[ref]["status"] = status
    by_id, by_number = look_up(carrier, ref), look_up(carrier)
    assert (by_id.status, by_id.carrier_ref, by_id.is_guess) == ("in-progress", ref, False)
    assert (by_number.status, by_number.carrier_ref, by_number.is_guess) == ("in-progress", ref, True)
    assert by_number.caller_id == CALLER_ID


def test_a_call_that_has_ended_is_told_with_its_times(carrier, carrier_api):
    ref = place(carrier, request()).carrier_ref
    carrier_api.calls[ref] |= {"status": "completed", "duration": "12", "end_time": format_datetime(NOW)}
    found = look_up(carrier, ref)
    assert (found.status, found.duration_seconds) == ("completed", 12)
    assert (found.answered_at, found.ended_at) == (NOW - timedelta(seconds=12), NOW)


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
def test_the_duration_of_a_call_that_nobody_answered_is_no_conversation(carrier, carrier_api, status):
    ref = place(carrier, request()).carrier_ref
    carrier_api.calls[ref] |= {"status": status, "duration": "28", "end_time": format_datetime(NOW)}
    found = look_up(carrier, ref)
    assert (found.status, found.answered_at, found.duration_seconds) == (status, None, None)


def test_calls_of_other_attempts_of_another_caller_id_and_of_yesterday_are_passed_over(carrier, carrier_api):
    known, other, old = (place(carrier, request()).carrier_ref for _ in range(3))
    carrier_api.calls[other]["from"] = "+14155550199"
    carrier_api.calls[old]["date_created"] = format_datetime(datetime.now(UTC) - timedelta(days=1))
    assert look_up(carrier, known=frozenset({known})) == NoSuchCall()


def test_two_calls_of_one_id_decide_nothing(carrier, carrier_api):
    ref = place(carrier, request()).carrier_ref
    carrier_api.calls["again"] = carrier_api.calls[ref]
    assert isinstance(look_up(carrier), CantTell)


def test_a_full_page_of_calls_decides_nothing(carrier, carrier_api):
    ref = place(carrier, request()).carrier_ref
    carrier_api.reply = 200, {"calls": [carrier_api.calls[ref]] * 1000}
    assert isinstance(look_up(carrier, known=frozenset({ref})), CantTell)


def test_an_id_that_shows_another_number_is_anothers(carrier, carrier_api):
    ref = place(carrier, request()).carrier_ref
    carrier_api.calls[ref]["to"] = "+919810000999"
    assert look_up(carrier, ref) == AnothersCall()


def test_only_the_carriers_own_404_says_that_there_is_no_call(carrier, carrier_api):
    assert look_up(carrier, "CAunknown") == NoSuchCall()
    carrier_api.reply = 404, {"message": "a proxy's page"}
    assert isinstance(look_up(carrier, "CAunknown"), CantTell)


@pytest.mark.parametrize("status", [429, 503])
def test_a_carrier_that_wants_fewer_requests_is_understood(carrier, carrier_api, status):
    carrier_api.reply = status, {}
    assert look_up(carrier).is_too_many


@pytest.mark.parametrize("reply", [(200, []), (200, {"calls": None}), (500, {}), (200, {"calls": [{"status": "?"}]})])
def test_a_look_up_that_makes_no_sense_is_asked_again(carrier, carrier_api, reply):
    carrier_api.reply = reply
    assert isinstance(look_up(carrier), CantTell | NoSuchCall)
    assert isinstance(look_up(carrier, "CA1"), CantTell)


def test_hanging_up_completes_the_call(carrier, carrier_api):
    ref = place(carrier, request()).carrier_ref
    assert carrier.hang_up([ref]) == ()
    assert carrier_api.calls[ref]["status"] == "completed"


# Events --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"CallStatus": "initiated"}, Event("in-progress", "CA1")),
        ({"CallStatus": "ringing"}, Event("in-progress", "CA1", rang_at=NOW)),
        ({"CallStatus": "in-progress"}, Event("in-progress", "CA1", answered_at=NOW)),
        ({"CallStatus": "in-progress", "Keys": "12#"}, Event("in-progress", "CA1", answered_at=NOW, digits="12#")),
        ({"CallStatus": "busy", "CallDuration": "0"}, Event("busy", "CA1", ended_at=NOW)),
        ({"CallStatus": "no-answer"}, Event("no-answer", "CA1", ended_at=NOW)),
        ({"CallStatus": "failed"}, Event("failed", "CA1", ended_at=NOW)),
        ({"CallStatus": "canceled"}, Event("failed", "CA1", ended_at=NOW, was_withdrawn=True)),
        (
            {"CallStatus": "completed", "CallDuration": "7"},
            Event("completed", "CA1", answered_at=NOW - timedelta(seconds=7), ended_at=NOW, duration_seconds=7),
        ),
    ],
)
def test_what_an_event_says(fields, event):
    assert TwilioCarrier.read_event({"CallSid": "CA1", "Timestamp": format_datetime(NOW), **fields}) == event


@pytest.mark.parametrize("name", ["SipResponseCode", "SipResultCode"])
@pytest.mark.parametrize(
    ("status", "code", "wish", "is_final"),
    [
        ("busy", "603", "refusal", False),
        ("failed", "607", "refusal", True),
        ("failed", "608", "", False),
        ("busy", "486", "", False),
        ("failed", "", "", False),
        ("completed", "603", "", False),
        ("ringing", "603", "", False),
    ],
)
def test_the_response_of_the_phone_tells_the_wish_of_the_person_called(name, status, code, wish, is_final):
    """Twilio names it SipResponseCode, SignalWire SipResultCode."""
    event = TwilioCarrier.read_event({"CallSid": "CA1", "CallStatus": status, name: code})
    assert (event.wish, event.names_number) == (wish, is_final)
    assert event.reason == (
        f"{'unwanted' if is_final else 'declined'} by the person called (SIP {code})" if wish else ""
    )


def test_who_has_opted_out_at_the_carrier_is_said_to_have(carrier, carrier_api):
    carrier_api.reply = (400, {"code": 21610, "message": "unsubscribed recipient"})
    reply = place(carrier, request())
    assert isinstance(reply, Refused)
    assert (reply.names_number, reply.wish) == (True, "opt-out")


@pytest.mark.parametrize("moment", [None, "", "yesterday", "2026-13-02T12:00:00Z", "Mon, 99 Foo 2026"])
def test_an_event_without_a_time_that_can_be_read_still_counts(moment):
    event = TwilioCarrier.read_event({"CallSid": "CA1", "CallStatus": "completed", "Timestamp": moment})
    assert (event.status, event.ended_at) == ("completed", None)


@pytest.mark.parametrize("fields", [{}, {"CallStatus": "transferred"}, {"Status": "completed"}])
def test_an_event_of_another_vocabulary_is_not_read(fields):
    with pytest.raises(UnreadableEvent):
        TwilioCarrier.read_event(fields)


# Telnyx --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def telnyx(carrier_api):
    carrier_api.is_telnyx = True
    return TelnyxCarrier.connect(access(carrier_api.url, api_key="application-1", api_token="KEY1"))


def test_telnyx_is_asked_by_json_for_an_application_with_all_events_in_one_text(telnyx, carrier_api):
    asked = request()
    # Its reply has no id: the first event brings it.
    assert place(telnyx, asked) == Accepted("")
    assert carrier_api.headers["Authorization"] == "Bearer KEY1"
    [form] = carrier_api.forms
    assert {name: value for name, [value] in form.items()} == {
        "To": NUMBER,
        "From": CALLER_ID,
        "Url": asked.flow_url,
        "UrlMethod": "POST",
        "StatusCallback": asked.callback_url,
        "StatusCallbackMethod": "POST",
        "StatusCallbackEvent": "initiated ringing answered completed",
        "Timeout": 30,
        "TimeLimit": 600,
        "FallbackUrl": asked.error_url,
        "ApplicationSid": "application-1",
    }


def test_a_call_of_telnyx_is_found_by_its_number_and_by_the_id_of_its_events(telnyx, carrier_api):
    place(telnyx, request())
    [call] = carrier_api.calls.values()
    carrier_api.calls = {"v3:a/b+c": call | {"sid": "v3:a/b+c", "date_created": datetime.now(UTC).isoformat()}}
    assert (look_up(telnyx).carrier_ref, look_up(telnyx).is_guess) == ("v3:a/b+c", True)
    assert look_up(telnyx, "v3:a/b+c").carrier_ref == "v3:a/b+c"
    assert look_up(telnyx, "v3:other") == NoSuchCall()
    telnyx.hang_up(["v3:a/b+c"])
    assert carrier_api.calls["v3:a/b+c"]["status"] == "completed"


@pytest.mark.parametrize(
    ("status", "code", "reply"),
    [(422, "10016", Refused), (403, "10010", Refused), (429, "10011", Unavailable), (500, "10019", Ambiguous)],
)
def test_an_error_of_telnyx_is_told_in_its_words(telnyx, carrier_api, status, code, reply):
    carrier_api.reply = status, {"errors": [{"code": code, "title": "Title", "detail": "words of the carrier"}]}
    given = place(telnyx, request())
    assert isinstance(given, reply)
    assert given.reason == f"HTTP {status}: error {code}: words of the carrier"


@pytest.mark.parametrize("body", [{}, {"status": "completed"}, {"errors": []}, {"errors": ["text"]}, []])
def test_a_reply_of_telnyx_that_takes_no_call_is_in_doubt(telnyx, carrier_api, body):
    carrier_api.reply = 200, body
    assert isinstance(place(telnyx, request()), Ambiguous)


def test_an_event_of_telnyx_has_its_time_in_iso_8601():
    fields = {"CallSid": "v3:1", "CallStatus": "in-progress", "Timestamp": "2026-03-02T12:00:00Z"}
    assert TelnyxCarrier.read_event(fields).answered_at == NOW


# Signatures ----------------------------------------------------------------------------------------------------------

URL = "https://trunkline.example/twiml/1?token=a%2Fb&keys=%23"
FIELDS = {"CallSid": ["CA1"], "Digits": ["1#"], "From": [CALLER_ID], "Several": ["b", "a", "b"], "Empty": [""]}
FORM = "application/x-www-form-urlencoded"


def received(headers, url=URL, fields=FIELDS):
    return Received(url, headers, FORM, urlencode(fields, doseq=True).encode())


def signed(url=URL, fields=FIELDS):
    """Return the header, by Twilio's own package."""
    return {"X-Twilio-Signature": RequestValidator(twilio.TOKEN).compute_signature(url, MultiValueDict(fields))}


@pytest.mark.parametrize("url", [URL, URL.replace(".example/", ".example:443/")])
@pytest.mark.parametrize("known_as", [URL, URL.replace(".example/", ".example:443/")])
def test_what_twilios_own_package_signs_is_genuine_with_and_without_the_port(url, known_as):
    assert TwilioCarrier.is_genuine(access("https://api"), received(signed(url), known_as))


def test_a_json_body_is_signed_by_its_digest_in_the_address():
    body = b'{"CallStatus": "completed"}'
    url = f"{URL}&bodySHA256={sha256(body).hexdigest()}"
    headers = signed(url, {})
    # The judge of Twilio's own package agrees.
    assert RequestValidator(twilio.TOKEN).validate(url, body.decode(), headers["X-Twilio-Signature"])
    genuine = Received(url, headers, "application/json", body)
    assert TwilioCarrier.is_genuine(access("https://api"), genuine)
    assert not TwilioCarrier.is_genuine(access("https://api"), replace(genuine, body=body + b" "))
    assert not TwilioCarrier.is_genuine(access("https://api"), replace(genuine, url=URL, headers=signed(URL, {})))


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {}},
        {"headers": {"X-Twilio-Signature": "x"}},
        {"url": URL + "1"},
        {"body": urlencode(FIELDS | {"Digits": ["2"]}, doseq=True).encode()},
        {"body": b"\xff=1"},
        {"content_type": "text/plain"},
    ],
)
def test_anything_else_is_not(change):
    assert TwilioCarrier.is_genuine(access("https://api"), received(signed()))
    assert TwilioCarrier.is_genuine(access("https://api"), replace(received(signed()), **change)) is False
    assert TwilioCarrier.is_genuine(access("https://api", api_token="another"), received(signed())) is False


def test_the_key_of_signatures_is_the_trunks_own_or_twilios_token():
    with_a_secret = access("https://api", api_key="SK1", api_token="secret")
    assert TwilioCarrier.is_genuine(with_a_secret, received({})) is None
    with_both = replace(with_a_secret, signing_key=twilio.TOKEN)
    assert TwilioCarrier.is_genuine(with_both, received(signed()))
    assert TwilioCarrier.is_genuine(with_both, received({})) is False
    assert SignalWireCarrier.is_genuine(access("https://api"), received({})) is None
    assert TelnyxCarrier.is_genuine(access("https://api"), received({})) is None


def test_signalwire_signs_the_body_as_it_comes_or_as_twilio_does():
    key = access("https://api", api_token="t", signing_key=twilio.TOKEN)
    whole = received({})
    for url in (URL, URL.replace(".example/", ".example:443/")):
        digest = hmac.new(twilio.TOKEN.encode(), url.encode() + whole.body, "sha1").hexdigest()
        assert SignalWireCarrier.is_genuine(key, received({"X-SignalWire-Signature": digest}))
    assert SignalWireCarrier.is_genuine(key, received(signed()))
    assert SignalWireCarrier.is_genuine(key, received({"X-SignalWire-Signature": "0" * 40})) is False


@pytest.fixture(scope="module")
def telnyx_key():
    return Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    ("change", "is_genuine"),
    [
        ({}, True),
        ({"body": b"CallSid=CA2"}, False),
        ({"age": 3600}, False),
        ({"age": -3600}, False),
        ({"moment": "yesterday"}, False),
        ({"signature": "not base64"}, False),
        ({"signature": "AAAA"}, False),
        ({"key": "AAAA"}, False),
    ],
)
def test_telnyx_signs_the_time_and_the_body_with_its_key(telnyx_key, change, is_genuine):
    moment = str(int(datetime.now(UTC).timestamp()) - change.get("age", 0))
    made = base64.b64encode(telnyx_key.sign(f"{moment}|CallSid=CA1".encode())).decode()
    headers = {
        "telnyx-timestamp": change.get("moment", moment),
        "telnyx-signature-ed25519": change.get("signature", made),
    }
    public = base64.b64encode(telnyx_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    request = Received(URL, headers, FORM, change.get("body", b"CallSid=CA1"))
    opened = access("https://api", signing_key=change.get("key", public))
    assert TelnyxCarrier.is_genuine(opened, request) is is_genuine
