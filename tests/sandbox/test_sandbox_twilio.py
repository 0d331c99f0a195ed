"""The sandbox over Twilio's API: calls, events and documents as Twilio has them."""

import json
import urllib.parse
from email.utils import parsedate_to_datetime

import pytest
from twilio.request_validator import RequestValidator

NUMBER, CALLER_ID = "+919812345678", "+14155550100"
CALLS = "/2010-04-01/Accounts/acme1/Calls"
TOKEN = "token"  # of the client's credentials
ALL_EVENTS = ("initiated", "ringing", "answered", "completed")


def create(sandbox, events=ALL_EVENTS, **fields):
    form = {"To": NUMBER, "From": CALLER_ID, "Url": "http://127.0.0.1:1/none", **fields}
    body = urllib.parse.urlencode([*form.items(), *(("StatusCallbackEvent", event) for event in events)])
    return sandbox.http("POST", f"{CALLS}.json", body.encode())


def place(sandbox, **fields):
    answer = create(sandbox, **fields)
    assert answer.status == 201, answer.text
    return answer.json["sid"]


def show(sandbox, sid):
    return sandbox.http("GET", f"{CALLS}/{sid}.json").json


def ended(sandbox, wait_until, sid):
    return wait_until(lambda: (call := show(sandbox, sid))["end_time"] and call)


@pytest.mark.usefixtures("exact_times")
def test_a_call_is_queued_rung_and_shown(sandbox, wait_until):
    answer = create(sandbox)
    assert answer.status == 201
    assert (answer.json["status"], answer.json["to"], answer.json["from"]) == ("queued", NUMBER, CALLER_ID)
    call = ended(sandbox, wait_until, answer.json["sid"])
    assert (call["status"], call["duration"]) == ("completed", "0")
    assert parsedate_to_datetime(call["date_created"]) <= parsedate_to_datetime(call["end_time"])
    [ring] = sandbox.rings()
    assert (ring["number"], ring["call_sid"], ring["outcome"]) == (NUMBER, call["sid"], "completed")


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
def test_a_call_that_nobody_answers_ends_so(sandbox, wait_until, outcome):
    sandbox.put_script(numbers={NUMBER: [{"outcome": outcome}]})
    assert ended(sandbox, wait_until, place(sandbox))["status"] == outcome


@pytest.mark.usefixtures("exact_times")
def test_all_four_events_are_told_in_order_and_signed(sandbox, receiver, wait_until):
    url = f"{receiver.url}/events?token=t"
    sid = place(sandbox, StatusCallback=url)
    wait_until(lambda: len(receiver.callbacks) == 4)
    fields = [callback.fields for callback in receiver.callbacks]
    assert [form["CallStatus"] for form in fields] == ["initiated", "ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in fields] == ["0", "1", "2", "3"]
    assert {form["CallSid"] for form in fields} == {sid}
    assert fields[-1]["CallDuration"] == "0"
    assert all(parsedate_to_datetime(form["Timestamp"]) for form in fields)


def test_without_a_choice_of_events_the_end_alone_is_told(sandbox, receiver, wait_until):
    place(sandbox, events=(), StatusCallback=f"{receiver.url}/events")
    wait_until(lambda: receiver.callbacks)
    assert [callback.fields["CallStatus"] for callback in receiver.callbacks] == ["completed"]


def test_documents_are_followed_and_keys_sent(sandbox, receiver, wait_until):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "digits": "12"}]})
    receiver.document("end", "<Say>Bye</Say><Hangup/><Say>never</Say>")
    second = receiver.document(
        "second", '<Gather action="END" actionOnEmptyResult="true"/>'.replace("END", f"{receiver.url}/x/end")
    )
    menu = f'<Say>Hello</Say><Gather numDigits="2" action="{second}"><Say>Press</Say></Gather>'
    url = receiver.document("menu", menu)
    call = ended(sandbox, wait_until, place(sandbox, Url=url))
    assert call["status"] == "completed"
    assert [form.get("Digits") for form in receiver.asked] == [None, "12", ""]
    assert sandbox.rings()[0]["digits"] == "12"
    first = dict(receiver.asked[0])
    signature = first.pop("signature")
    assert RequestValidator(TOKEN).validate(url, first, signature)


def test_a_gather_without_keys_goes_on_with_the_next_verb(sandbox, receiver, wait_until):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "digits": ""}]})
    last = receiver.document("last", "<Hangup/>")
    url = receiver.document("menu", f'<Gather action="{receiver.url}/never"/><Redirect>{last}</Redirect>')
    ended(sandbox, wait_until, place(sandbox, Url=url))
    assert len(receiver.asked) == 2


def test_what_is_said_before_a_call_to_another_number_is_heard_before_its_document_is_asked_for(
    sandbox, receiver, wait_until
):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "transfer": "busy"}]})
    after = receiver.document("after", "<Hangup/>")
    dial = receiver.document("dial", f'<Dial action="{after}"><Number>+14155550101</Number></Dial>')
    begin = f'<Say>We connect you</Say><Redirect method="POST">{dial}</Redirect><Say>never</Say>'
    ended(sandbox, wait_until, place(sandbox, Url=receiver.document("begin", begin)))
    assert [form.get("DialCallStatus") for form in receiver.asked] == [None, None, "busy"]


def test_a_callee_who_hangs_up_during_a_text_is_not_led_to_what_follows(sandbox, receiver, wait_until):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "ring": 0}]}, time_scale=1)
    dial = receiver.document("dial", "<Hangup/>")
    begin = receiver.document("begin", f'<Pause length="3600"/><Redirect>{dial}</Redirect>')
    sid = place(sandbox, Url=begin)
    wait_until(lambda: receiver.asked)
    assert sandbox.http("POST", f"{CALLS}/{sid}.json", b"Status=completed").json["status"] == "completed"
    assert len(receiver.asked) == 1


def test_a_document_that_is_missing_or_broken_ends_the_call(sandbox, receiver, wait_until):
    receiver.documents["broken"] = "<Response><Say>"
    assert ended(sandbox, wait_until, place(sandbox, Url=f"{receiver.url}/twiml/broken"))["status"] == "completed"


@pytest.mark.parametrize(
    "said", ["<Say>" + "a" * 3001 + "</Say>", "<Say>" + "क" * 501 + "</Say>", "<Say>word</Say>" * 4300]
)
def test_a_document_that_is_too_long_for_twilio_can_t_be_read_and_the_fallback_is_asked(
    sandbox, receiver, wait_until, said
):
    said_instead = receiver.document("instead", "<Hangup/>")
    gather = f'<Gather action="{receiver.url}/never"/>'
    url = receiver.document("long", said + gather)
    ended(sandbox, wait_until, place(sandbox, Url=url, FallbackUrl=said_instead))
    [first, fallback] = receiver.asked
    assert (fallback["ErrorUrl"], fallback["CallSid"]) == (url, first["CallSid"])
    assert "ErrorUrl" not in first


def test_hanging_up_ends_a_conversation_with_the_keys_so_far(sandbox, receiver, wait_until):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "ring": 0, "digits": "7"}]}, time_scale=1)
    endless = receiver.document("endless", '<Pause length="3600"/>')
    url = receiver.document("menu", f'<Gather action="{endless}"/>')
    sid = place(sandbox, Url=url)
    wait_until(lambda: len(receiver.asked) == 2)
    assert sandbox.http("POST", f"{CALLS}/{sid}.json", b"Status=completed").json["status"] == "completed"
    [ring] = sandbox.rings()
    assert (ring["outcome"], ring["digits"]) == ("completed", "7")


def test_a_time_limit_ends_a_conversation(sandbox, receiver, wait_until):
    url = receiver.document("endless", '<Pause length="36000"/>')  # longer than anybody waits here
    assert ended(sandbox, wait_until, place(sandbox, Url=url, TimeLimit="10"))["status"] == "completed"


def test_calls_are_listed_by_number_and_caller_id_newest_first(sandbox, wait_until):
    first, second = place(sandbox), place(sandbox)
    place(sandbox, To="+919800000000")
    query = urllib.parse.urlencode({"To": NUMBER, "From": CALLER_ID, "PageSize": 1000})
    listed = sandbox.http("GET", f"{CALLS}.json?{query}").json["calls"]
    assert [call["sid"] for call in listed] == [second, first]
    other = urllib.parse.urlencode({"To": NUMBER, "From": "+14155550199"})
    assert sandbox.http("GET", f"{CALLS}.json?{other}").json["calls"] == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"To": ""}, 21201),
        ({"To": "nobody"}, 21211),
        ({"From": ""}, 21213),
        ({"Url": ""}, 21205),
        ({"Timeout": "601"}, 20001),
        ({"events": ("answered", "terminal")}, 21626),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_twilios_code(sandbox, fields, code):
    answer = create(sandbox, **fields)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert sandbox.rings() == []


@pytest.mark.parametrize(
    ("fault", "status", "code", "rung"),
    [
        ("http-400", 400, 21212, 0),
        ("http-429", 429, 20429, 0),
        ("http-500", 500, 20500, 0),
        ("http-503", 503, 20503, 0),
        ("error-after-ring", 500, 20500, 1),
    ],
)
def test_faults_answer_as_twilio_would(sandbox, fault, status, code, rung):
    sandbox.put_script(faults=[fault])
    answer = create(sandbox)
    assert (answer.status, answer.json["code"], len(sandbox.rings())) == (status, code, rung)


def test_half_a_reply_is_sent_when_ordered(sandbox):
    sandbox.put_script(faults=["malformed-answer"])
    with pytest.raises(json.JSONDecodeError):
        _ = create(sandbox).json
    assert len(sandbox.rings()) == 1


def test_an_unknown_call_and_missing_credentials_are_refused(sandbox):
    assert sandbox.http("GET", f"{CALLS}/CA1.json").json["code"] == 20404
    sandbox.authorization = ""
    assert (create(sandbox).status, create(sandbox).json["code"]) == (401, 20003)


def test_a_call_that_waits_for_its_turn_rings_then_and_is_in_the_log_from_then_on(sandbox, receiver, wait_until):
    sandbox.put_script(faults=[{"name": "queue-calls", "seconds": 600}], time_scale=1)
    sid = place(sandbox, StatusCallback=f"{receiver.url}/events")
    assert (show(sandbox, sid)["status"], show(sandbox, sid)["start_time"]) == ("queued", None)
    assert sandbox.rings() == []
    sandbox.loop.pass_time(600)
    [ring] = wait_until(sandbox.rings)
    assert ring["call_sid"] == sid
    assert parsedate_to_datetime(show(sandbox, sid)["date_created"]).timestamp() <= ring["start"]


def test_a_call_that_is_canceled_while_it_waits_rings_nobody(sandbox, receiver, wait_until):
    sandbox.put_script(faults=["queue-calls"], time_scale=1)
    sid = place(sandbox, StatusCallback=f"{receiver.url}/events")
    call = sandbox.http("POST", f"{CALLS}/{sid}.json", b"Status=canceled").json
    assert (call["status"], call["start_time"]) == ("canceled", None)
    wait_until(lambda: receiver.callbacks)
    assert [callback.fields["CallStatus"] for callback in receiver.callbacks] == ["canceled"]
    assert sandbox.rings() == []


@pytest.mark.parametrize(
    ("transfer", "told"),
    [
        ("completed", {"DialCallStatus": "completed", "DialCallDuration": "10"}),
        ("busy", {"DialCallStatus": "busy"}),
        ("no-answer", {"DialCallStatus": "no-answer"}),
    ],
)
def test_a_call_to_another_number_ends_as_the_script_says(sandbox, receiver, wait_until, transfer, told):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "transfer": transfer}]})
    after = receiver.document("after", "<Hangup/>")
    dial = f'<Dial timeout="20" action="{after}"><Number>+14155550101</Number></Dial>'
    ended(sandbox, wait_until, place(sandbox, Url=receiver.document("dial", dial)))
    [_, form] = receiver.asked
    assert {name: value for name, value in form.items() if name.startswith("Dial")} == told


def connecting(receiver):
    """Return the address of a document that connects the callee to another number, then hangs up."""
    after = receiver.document("after", "<Hangup/>")
    dial = f'<Dial timeout="20" callerId="+9180" action="{after}"><Number>+14155550101</Number></Dial>'
    return receiver.document("dial", dial)


@pytest.mark.parametrize(
    ("hangs_up", "transfer", "outcome"),
    [
        (False, "completed", "completed"),
        (False, "busy", "busy"),
        (False, "no-answer", "no-answer"),
        (True, "completed", "completed"),
        (True, "no-answer", "canceled"),
    ],
)
def test_a_call_to_another_number_is_in_a_log_of_its_own(sandbox, receiver, wait_until, hangs_up, transfer, outcome):
    """It ends as the script says, or with its call, where the callee hangs up meanwhile."""
    answers = {NUMBER: [{"outcome": "completed", "ring": 0, "transfer": transfer}]}
    sandbox.put_script(numbers=answers, time_scale=100 if hangs_up else 0.01)
    events = f"{receiver.url}/events/{'0' * 31}1"
    sid = place(sandbox, Url=connecting(receiver), StatusCallback=events)
    if hangs_up:
        wait_until(sandbox.legs)
        sandbox.http("POST", f"{CALLS}/{sid}.json", b"Status=completed")
        wait_until(lambda: sandbox.legs()[0]["end"])
    ended(sandbox, wait_until, sid)
    [leg] = sandbox.legs()
    [ring] = sandbox.rings()
    assert (leg["number"], leg["caller_id"], leg["outcome"]) == ("+14155550101", "+9180", outcome)
    assert (leg["parent_call_sid"], leg["attempt_id"]) == (sid, ring["attempt_id"])
    assert ring["answer"] <= leg["start"] <= leg["end"]
    assert (leg["answer"] is None) == (transfer != "completed")
    assert sandbox.totals()["rings"] == 1, "it is no ring of a client's"
    sandbox.http("DELETE", "/_sandbox/rings")
    assert sandbox.legs() == []


def test_a_leg_that_is_up_is_not_forgotten(sandbox, receiver, wait_until):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "ring": 0}]}, time_scale=100)
    place(sandbox, Url=connecting(receiver))
    [leg] = wait_until(sandbox.legs)
    sandbox.http("DELETE", "/_sandbox/rings")
    assert (leg["end"], sandbox.legs()) == (None, [leg])
