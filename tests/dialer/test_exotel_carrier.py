"""The exotel driver against the sandbox over real HTTP: what each reply and each fault means to the dialer."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import ClassVar
from uuid import uuid4

import pytest
import requests

from core import http_loop
from dialer.carriers import exotel, http_carrier
from dialer.carriers.base import (
    Accepted,
    Ambiguous,
    AnothersCall,
    CallRequest,
    CantTell,
    Event,
    NoSuchCall,
    Placed,
    Refused,
    TooLate,
    Unavailable,
    UnreadableEvent,
)
from dialer.carriers.exotel import ExotelCarrier
from dialer.carriers.sandbox import SandboxCarrier
from tools.local.ports import accepts_connections, free_ports

CALLER_ID = "+918012345678"
# Another number for each call: those of earlier tests are still up.
NUMBERS = (f"+9198{number:08}" for number in count(10_000_000))


@pytest.fixture(scope="module")
def sandbox():
    """Its address; a process of its own, as in production."""
    [port] = free_ports(1)
    process = subprocess.Popen([sys.executable, "-m", "sandbox", "--port", str(port)], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not accepts_connections("127.0.0.1", port):
            assert process.poll() is None, "the sandbox has ended"
            assert time.monotonic() < deadline, "the sandbox did not come up"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def script(sandbox, settings):
    """Script the sandbox. Only a test of silence waits out the timeout: a busy machine may reply late."""

    def put(*faults, **more):
        settings.CARRIER_TIMEOUT_SECONDS = 3 if any("hang" in str(fault) for fault in faults) else 60
        body = {"default": [{"outcome": "completed", "ring": 0.05, "talk": 30}], "faults": list(faults), **more}
        requests.put(f"{sandbox}/_sandbox/script", json=body, timeout=60).raise_for_status()

    put()
    return put


@pytest.fixture
def carrier(sandbox, script):
    # The same driver but for the address of the flow, which is read from this server: Exotel's is not asked.
    return SandboxCarrier(sandbox, "operator1", "key", "token")


def request(number=None, seconds=120):
    attempt_id = uuid4()
    return CallRequest(
        attempt_id=attempt_id,
        number=number or next(NUMBERS),
        caller_id=CALLER_ID,
        flow_id="29281",
        flow_url="http://127.0.0.1:9/flows/1",
        custom_field="round 7",
        callback_url=f"http://127.0.0.1:9/carrier-events/exotel/{attempt_id.hex}?token=t",
        ring_timeout=30,
        max_seconds=600,
        ask_before=datetime.now(UTC) + timedelta(seconds=seconds),
    )


def place(carrier, asked):
    return carrier.place([asked])[asked.attempt_id]


def lost(asked, *, ref="", known=frozenset()):
    return Placed(asked.attempt_id, asked.number, asked.caller_id, datetime.now(UTC), ref, known)


def look_up(carrier, placed):
    return carrier.look_up([placed])[placed.attempt_id]


def rings(sandbox, asked):
    """What the ring log holds of this call's number."""
    return requests.get(f"{sandbox}/_sandbox/rings", params={"number": asked.number}, timeout=60).json()["rings"]


def wait_for_ring(sandbox, asked, moment):
    """Return the ring of this call, once `moment` (answer, end) of it has come."""
    for _ in range(3000):
        [ring] = rings(sandbox, asked)
        if ring[moment]:
            return ring
        time.sleep(0.01)
    raise AssertionError(f"no {moment}: {ring}")


def test_a_taken_call_is_accepted_under_the_carriers_id(carrier, sandbox):
    asked = request()
    reply = place(carrier, asked)
    [ring] = rings(sandbox, asked)
    assert reply == Accepted(ring["call_sid"])
    assert ring["attempt_id"] == asked.attempt_id.hex


def test_events_are_asked_for_as_json(carrier, monkeypatch):
    asked = []

    async def ask(method, url, data):
        asked.append(data)
        return http_carrier.Response(200, {"Call": {"Sid": "1"}}, None)

    monkeypatch.setattr(carrier, "ask", ask)
    assert place(carrier, request()) == Accepted("1")
    assert asked[0]["StatusCallbackContentType"] == "application/json"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.exotel.com", "my.exotel.com"),
        ("https://api.in.exotel.com/", "my.in.exotel.com"),
        ("https://proxy.example:8443", "my.exotel.com"),
        ("https://api.exotel.com.evil.example", "my.exotel.com"),
    ],
)
def test_the_flows_address_is_made_from_the_trunk_and_the_flows_id(monkeypatch, base_url, host):
    carrier = ExotelCarrier(base_url, "operator1", "key", "token")
    asked = replace(request(), flow_url="javascript:alert(1)//29281")
    forms = []

    async def ask(method, url, data):
        forms.append(data)
        return http_carrier.Response(200, {"Call": {"Sid": "abc"}}, None)

    monkeypatch.setattr(carrier, "ask", ask)
    assert place(carrier, asked) == Accepted("abc")
    [form] = forms
    assert form["Url"] == f"http://{host}/operator1/exoml/start_voice/29281"
    assert not any("javascript" in value for value in form.values())


def test_a_campaign_without_a_flow_is_not_sent_to_exotel(stub):
    reply = place(stub, replace(request(), flow_id=""))
    assert isinstance(reply, Refused)
    assert not reply.names_number


def test_a_batch_is_placed_at_once(carrier, sandbox):
    asked = [request() for _ in range(50)]
    replies = carrier.place(asked)
    assert all(isinstance(replies[request.attempt_id], Accepted) for request in asked)
    assert [len(rings(sandbox, request)) for request in asked] == [1] * 50


@pytest.mark.parametrize(
    ("fault", "reply", "rung"),
    [
        ("http-400", Refused, 0),
        ("http-429", Unavailable, 0),
        ("http-503", Unavailable, 0),
        ("http-500", Ambiguous, 0),
        ("hang-before-ring", Ambiguous, 0),
        ("down", Ambiguous, 0),
        ("hang-after-ring", Ambiguous, 1),
        ("error-after-ring", Ambiguous, 1),
        ("malformed-answer", Ambiguous, 1),
    ],
)
def test_only_a_reply_that_says_so_means_that_no_phone_rang(carrier, sandbox, script, fault, reply, rung):
    script(fault)
    asked = request()
    assert isinstance(place(carrier, asked), reply)
    assert len(rings(sandbox, asked)) == rung


def test_a_request_that_is_late_is_not_sent_any_more(carrier, sandbox):
    asked = request(seconds=-1)
    assert place(carrier, asked) == TooLate()
    assert rings(sandbox, asked) == []


def test_threads_that_are_first_at_the_same_time_share_one_loop(carrier, sandbox, monkeypatch):
    monkeypatch.setattr(http_loop, "_loops", {})
    barrier = threading.Barrier(8)
    replies: list[object] = []

    def first():
        asked = [request() for _ in range(10)]
        barrier.wait()
        replies.extend(carrier.place(asked).values())

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(http_loop._loops) == 1
    assert [type(reply) for reply in replies] == [Accepted] * 80


class Stub(BaseHTTPRequestHandler):
    """A carrier that responds to everything with one status and body."""

    status, body = 200, b""
    headers_sent: ClassVar[dict[str, str]] = {}

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 -- the name that http.server calls

    def log_message(self, *_):
        pass


@pytest.fixture
def stub():
    with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield ExotelCarrier(f"http://127.0.0.1:{server.server_port}", "operator1", "key", "token")
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (301, Unavailable),
        (400, Refused),
        (401, Unavailable),
        (402, Unavailable),
        (403, Refused),
        (408, Unavailable),
        (429, Unavailable),
        (500, Ambiguous),
        (502, Ambiguous),
        (503, Unavailable),
        (504, Ambiguous),
    ],
)
def test_what_a_status_says_of_the_call(stub, monkeypatch, status, reply):
    """What is wrong with our account at the carrier is not wrong with the number: another try may do better."""
    monkeypatch.setattr(Stub, "status", status)
    assert isinstance(place(stub, request()), reply)


def excuse(text):
    return json.dumps({"RestException": {"Status": 400, "Message": text}}).encode()


@pytest.mark.parametrize(
    ("status", "text", "is_the_numbers_own"),
    [
        (403, "not yet KYC compliant", False),
        (403, "Your account is not yet KYC compliant: call to {number} refused", False),
        (404, "Not Found", False),
        (404, "", False),
        (400, "Invalid CallerId", False),
        (400, "Invalid parameter CallerId, From", False),
        (400, "Bad Request: the call is refused", False),
        (400, "Url is not an Exotel app", False),
        (403, "Call to {number} is not permitted due to TRAI NDNC regulations", True),
        (403, "The number is registered in DND", True),
        (400, "Invalid To", True),
        (400, "Invalid parameter 'From'", True),
        (400, "From is not a phone number", True),
        (400, "{number} can't be called", True),
        (400, "0{number} can't be called", True),
    ],
)
def test_whom_a_refusal_is_about(stub, monkeypatch, status, text, is_the_numbers_own):
    asked = request()
    monkeypatch.setattr(Stub, "status", status)
    monkeypatch.setattr(Stub, "body", excuse(text.format(number=asked.number[3:])))
    answer = place(stub, asked)
    assert isinstance(answer, Refused)
    assert answer.names_number == is_the_numbers_own
    assert answer.wish == ("opt-out" if "NDNC" in text or "DND" in text else "")


JUNK = [b"", b"<html>maintenance</html>", b"[]", b"null", b'{"Call": null, "Calls": null}', b'{"Call": 7, "Calls": 7}']


@pytest.mark.parametrize("body", JUNK)
def test_an_answer_that_makes_no_sense_says_nothing(stub, monkeypatch, body):
    monkeypatch.setattr(Stub, "body", body)
    asked = request()
    assert isinstance(place(stub, asked), Ambiguous)
    assert isinstance(look_up(stub, lost(asked)), CantTell)
    assert isinstance(look_up(stub, lost(asked, ref="abc")), CantTell)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ({"From": "0{national}"}, Event),
        ({"From": "{number}"}, Event),
        ({"From": "0999999{last}"}, AnothersCall),
        ({"From": "+919812399999"}, AnothersCall),
        ({"From": "XXXXXX{last}"}, Event),
        ({"From": None}, Event),
        ({"Sid": "another"}, CantTell),
        ({"Sid": None}, CantTell),
    ],
)
def test_a_call_under_the_asked_id_is_believed_if_it_is_to_the_number(stub, monkeypatch, shown, kind):
    asked = request()
    words = {"number": asked.number, "national": asked.number[3:], "last": asked.number[-4:]}
    call = {"Sid": "abc", "Status": "busy"} | {name: text and text.format(**words) for name, text in shown.items()}
    monkeypatch.setattr(Stub, "body", json.dumps({"Call": call}).encode())
    assert isinstance(look_up(stub, lost(asked, ref="abc")), kind)


def test_of_two_calls_to_a_number_the_one_from_the_caller_id_is_taken(stub, monkeypatch):
    asked = request()
    calls = [
        {"Sid": sid, "From": asked.number, "PhoneNumberSid": caller_id, "Status": "busy"}
        for sid, caller_id in (("a", "08099999999"), ("b", "08012345678"), ("c", "08077777777"))
    ]
    monkeypatch.setattr(Stub, "body", json.dumps({"Calls": calls}).encode())
    found = look_up(stub, lost(asked))
    assert (found.carrier_ref, found.caller_id, found.is_guess) == ("b", CALLER_ID, True)


def test_a_proxys_404_does_not_say_that_there_is_no_such_call(stub, monkeypatch):
    monkeypatch.setattr(Stub, "status", 404)
    monkeypatch.setattr(Stub, "body", b"<html>not found</html>")
    assert isinstance(look_up(stub, lost(request(), ref="abc")), CantTell)


def test_one_answer_that_breaks_the_driver_costs_only_itself(stub, monkeypatch):
    def broken(status, body, placed):
        raise ZeroDivisionError

    monkeypatch.setattr(exotel, "_one_of", broken)
    assert isinstance(look_up(stub, lost(request())), CantTell)


def test_nobody_listening_means_that_nobody_was_rung():
    carrier = ExotelCarrier(f"http://127.0.0.1:{free_ports(1)[0]}", "operator1", "key", "token")
    assert isinstance(place(carrier, request()), Unavailable)


def test_a_refusal_keeps_the_status_and_the_carriers_words(carrier, script):
    script("http-400")
    refused = place(carrier, request())
    assert refused.http_status == 400
    assert refused.reason.startswith("HTTP 400: ")


@pytest.mark.parametrize("fault", ["hang-after-ring", "error-after-ring", "malformed-answer"])
def test_a_call_whose_answer_was_lost_is_found_by_number_and_time(carrier, sandbox, script, settings, fault):
    script(fault)
    asked = request()
    place(carrier, asked)
    settings.CARRIER_TIMEOUT_SECONDS = 60
    [ring] = rings(sandbox, asked)
    found = look_up(carrier, lost(asked))
    assert (found.status, found.carrier_ref) == ("in-progress", ring["call_sid"])


@pytest.mark.parametrize("fault", ["hang-before-ring", "http-500"])
def test_a_call_that_never_rang_is_not_found(carrier, script, settings, fault):
    script({"name": fault, "times": 1})
    asked = request()
    place(carrier, asked)
    settings.CARRIER_TIMEOUT_SECONDS = 60
    assert look_up(carrier, lost(asked)) == NoSuchCall()


def test_another_attempts_call_to_the_same_number_is_not_taken_for_the_lost_one(carrier, sandbox):
    number = next(NUMBERS)
    other = place(carrier, request(number))
    assert isinstance(other, Accepted)
    asked = request(number)
    assert look_up(carrier, lost(asked)).carrier_ref == other.carrier_ref, "or the test could not fail"
    assert look_up(carrier, lost(asked, known=frozenset({other.carrier_ref}))) == NoSuchCall()


def test_a_carrier_that_does_not_answer_a_look_up_cannot_tell(carrier, script):
    script("down")
    assert isinstance(look_up(carrier, lost(request())), CantTell)


def test_a_call_is_asked_for_by_the_carriers_id(carrier, sandbox, script):
    script(default=[{"outcome": "busy", "ring": 0}])
    asked = request()
    ref = place(carrier, asked).carrier_ref
    wait_for_ring(sandbox, asked, "end")
    found = look_up(carrier, lost(asked, ref=ref))
    assert (found.status, found.carrier_ref) == ("busy", ref)
    assert look_up(carrier, lost(asked, ref="0" * 32)) == NoSuchCall()


def test_a_call_can_be_hung_up(carrier, sandbox):
    asked = request()
    ref = place(carrier, asked).carrier_ref
    assert not wait_for_ring(sandbox, asked, "answer")["end"]
    carrier.hang_up([ref])
    assert wait_for_ring(sandbox, asked, "end")["outcome"] == "completed"


def test_an_answered_event_tells_keys_and_times():
    event = ExotelCarrier.read_event(
        {
            "CallSid": "abc",
            "Status": "completed",
            "ConversationDuration": "7",
            "EndTime": "2026-03-02 11:30:10",
            "Digits": "1",
            "RecordingUrl": "https://example.org/a.mp3",
        }
    )
    ended = datetime(2026, 3, 2, 6, 0, 10, tzinfo=UTC)
    assert event == Event(
        status="completed",
        carrier_ref="abc",
        answered_at=ended - timedelta(seconds=7),
        ended_at=ended,
        duration_seconds=7,
        digits="1",
        recording_url="https://example.org/a.mp3",
    )


@pytest.mark.parametrize(
    ("written", "is_read"),
    [
        ("2026-03-02 11:30:10", True),
        ("2026-3-2 11:30:10", True),
        ("2026-03-02T11:30:10", False),
        ("2026-03-02", False),
        ("2026-W10-1 11:30:10", False),
        ("2026-02-30 11:30:10", False),
        ("0000-00-00 00:00:00", False),
        (None, False),
    ],
)
def test_a_moment_is_read_in_the_carriers_own_form_and_no_other(written, is_read):
    event = ExotelCarrier.read_event({"CallSid": "abc", "Status": "busy", "EndTime": written})
    assert event.ended_at == (datetime(2026, 3, 2, 6, 0, 10, tzinfo=UTC) if is_read else None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("completed", "completed"),
        ("busy", "busy"),
        ("no-answer", "no-answer"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("in-progress", "in-progress"),
    ],
)
def test_the_carriers_words_for_an_end(status, outcome):
    """The least that Exotel sends for a flow call: the id, the status and a date."""
    event = ExotelCarrier.read_event({"CallSid": "abc", "Status": status, "DateUpdated": "2026-03-02 11:30:10"})
    assert event.status == outcome


@pytest.mark.parametrize("payload", [{}, {"Status": "exploded"}, {"Status": None}, {"Status": ["busy"]}])
def test_what_is_no_event_is_refused(payload):
    with pytest.raises(UnreadableEvent):
        ExotelCarrier.read_event(payload)


@pytest.mark.parametrize("junk", ["", "soon", "-5", "1e999", "NaN", None, "2026-13-45 99:99:99"])
def test_junk_in_a_field_costs_only_that_field(junk):
    event = ExotelCarrier.read_event({"Status": "completed", "ConversationDuration": junk, "EndTime": junk})
    assert event.status == "completed"
    assert event.ended_at is None
    assert event.duration_seconds in {None, 0}


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)


@pytest.mark.parametrize("ref", ["", "abc"])
@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [(429, None, None), (429, "17", 17), (503, "0", 0), (429, "soon", None), (429, in_a_minute, 60)],
)
def test_a_carrier_that_takes_no_more_look_ups_says_for_how_long(stub, monkeypatch, ref, status, header, seconds):
    text = header() if callable(header) else header
    monkeypatch.setattr(Stub, "status", status)
    monkeypatch.setattr(Stub, "headers_sent", {"Retry-After": text} if text else {})
    found = look_up(stub, lost(request(), ref=ref))
    assert isinstance(found, CantTell)
    assert found.is_too_many
    assert found.retry_after == (None if seconds is None else pytest.approx(seconds, abs=30 if callable(header) else 0))


def test_another_error_is_no_limit(stub, monkeypatch):
    monkeypatch.setattr(Stub, "status", 500)
    found = look_up(stub, lost(request()))
    assert isinstance(found, CantTell)
    assert not found.is_too_many


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//x/a", "http:///a", "x"]
)
def test_the_address_of_a_recording_is_http_or_nothing(address):
    told = {"Status": "completed", "RecordingUrl": address}
    assert ExotelCarrier.read_event(told).recording_url == ""
    assert (
        ExotelCarrier.read_event(told | {"RecordingUrl": "HTTPS://r.example/a"}).recording_url == "HTTPS://r.example/a"
    )
