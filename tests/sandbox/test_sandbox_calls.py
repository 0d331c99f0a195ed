"""Placing, following, finding and ending calls."""

import datetime as dt
import re

import pytest

NUMBER = "+919812345678"
OTHER = "+919800000001"
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))


def wire_date(seconds_from_now=0):
    moment = dt.datetime.now(IST) + dt.timedelta(seconds=seconds_from_now)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def test_connect_answers_the_call_as_exotel_does(sandbox):
    call = sandbox.connect(CustomField="order 7").json["Call"]

    assert re.fullmatch(r"[0-9a-f]{32}", call["Sid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", call["DateCreated"])
    assert call["Uri"] == f"/v1/Accounts/acme1/Calls/{call['Sid']}.json"
    assert call | {"From": "09812345678", "To": "08012345678", "PhoneNumberSid": "08012345678"} == call
    assert call | {"Status": "queued", "EndTime": None, "Duration": None, "Direction": "outbound-api"} == call
    assert call["CustomField"] == "order 7"


def test_dates_are_indian_time(sandbox):
    before = wire_date()
    created = sandbox.connect().json["Call"]["DateCreated"]
    assert before <= created <= wire_date()


def test_foreign_numbers_come_back_in_e164(sandbox):
    assert sandbox.connect("+14155550123").json["Call"]["From"] == "+14155550123"


def test_connect_without_json_suffix_and_multipart_forms_are_accepted(sandbox):
    assert sandbox.connect(path="connect").json["Call"]["Sid"]
    parts = {"From": NUMBER, "CallerId": "08012345678", "Url": "http://127.0.0.1:1/"}
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    answer = sandbox.http(
        "POST",
        "/v1/Accounts/acme1/Calls/connect.json",
        f"{body}--b--\r\n".encode(),
        **{"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.json["Call"]["From"] == "09812345678"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("From", None, "From is mandatory"),
        ("CallerId", None, "CallerId is mandatory"),
        ("Url", "", "Url is mandatory"),
        ("From", "nobody", "From is not a phone number"),
        ("TimeLimit", "14401", "TimeLimit must be a whole number from 1 to 14400"),
        ("TimeOut", "-1", "TimeOut must be a whole number from 1 to 14400"),
        ("StatusCallbackContentType", "text/xml", "StatusCallbackContentType must be one of"),
        ("StatusCallbackEvents[0]", "initiated", "StatusCallbackEvents must be of answered, ringing, terminal"),
    ],
)
def test_a_faulty_connect_is_refused_and_rings_nobody(sandbox, field, value, message):
    answer = sandbox.connect(**{field: value})
    assert answer.status == 400
    assert answer.json["RestException"]["Status"] == 400
    assert message in answer.json["RestException"]["Message"]
    assert sandbox.totals()["rings"] == 0


@pytest.mark.parametrize("authorization", ["", "Bearer abc", "Basic !!", "Basic a2V5Og==", "Basic OnRva2Vu"])
def test_v1_asks_for_a_key_and_a_token(sandbox, authorization):
    sandbox.authorization = authorization
    answer = sandbox.connect()
    assert (answer.status, answer.json["RestException"]["Status"]) == (401, 401)


@pytest.mark.parametrize("outcome", ["completed", "busy", "no-answer", "failed"])
def test_a_call_ends_with_its_scripted_outcome(sandbox, outcome):
    sandbox.put_script(default=[{"outcome": outcome}])
    call = sandbox.dial()
    assert call["Status"] == outcome
    assert call["StartTime"] <= call["EndTime"]
    assert call["Duration"].isdigit()


@pytest.mark.usefixtures("exact_times")
def test_a_call_rings_then_is_answered_then_ends(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 200, "talk": 200}], time_scale=1)
    sid = sandbox.place()
    assert sandbox.call(sid)["Status"] == "ringing"
    sandbox.loop.pass_time(200)
    sandbox.in_status(sid, "in-progress")
    sandbox.loop.pass_time(200)
    sandbox.ended(sid)


@pytest.mark.usefixtures("exact_times")
def test_a_call_rings_and_talks_as_long_as_the_script_says(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 20, "talk": 20}])
    sandbox.dial()
    (ring,) = sandbox.rings()
    assert ring["answer"] - ring["start"] == pytest.approx(0.2, abs=0.1)
    assert ring["end"] - ring["answer"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.usefixtures("exact_times")
def test_a_call_without_a_flow_talks_five_seconds(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0}], time_scale=0.04)
    sandbox.dial()
    (ring,) = sandbox.rings()
    assert ring["end"] - ring["answer"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.usefixtures("exact_times")
def test_no_answer_rings_for_the_time_out(sandbox):
    sandbox.put_script(default=[{"outcome": "no-answer"}])
    sandbox.dial(TimeOut="30")
    (ring,) = sandbox.rings()
    assert ring["end"] - ring["start"] == pytest.approx(0.3, abs=0.1)


def test_a_callee_slower_than_the_time_out_is_not_reached(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 40}])
    assert sandbox.dial(TimeOut="10")["Status"] == "no-answer"


@pytest.mark.usefixtures("exact_times")
def test_the_time_limit_ends_a_conversation(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "talk": 1000}])
    assert sandbox.dial(TimeLimit="10")["Status"] == "completed"
    (ring,) = sandbox.rings()
    assert ring["end"] - ring["answer"] == pytest.approx(0.1, abs=0.1)


@pytest.mark.usefixtures("exact_times")
def test_details_give_the_conversation_duration(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "talk": 1}], time_scale=1)
    sid = sandbox.place()
    sandbox.ended(sid)
    assert "Details" not in sandbox.call(sid)
    assert sandbox.call(sid, "?details=true")["Details"]["ConversationDuration"] == 1


def test_an_unknown_call_or_one_of_another_account_is_not_found(sandbox):
    sid = sandbox.place()
    assert sandbox.http("GET", f"/v1/Accounts/acme1/Calls/{'0' * 32}").json["RestException"]["Status"] == 404
    assert sandbox.http("GET", f"/v1/Accounts/acme1/Calls/{sid}").status == 200
    assert sandbox.http("GET", f"/v1/Accounts/other/Calls/{sid}").status == 404


@pytest.mark.parametrize("written", ["+919812345678", "09812345678", "98123 45678", "+91-98123-45678"])
def test_calls_are_found_by_number_however_it_is_written(sandbox, written):
    first, _, last = sandbox.place(), sandbox.place(OTHER), sandbox.place()
    found = sandbox.find_calls(From=written).json
    assert [call["Sid"] for call in found["Calls"]] == [last, first]
    assert found["Metadata"]["Total"] == 2


def test_calls_are_found_by_date_in_whole_seconds(sandbox):
    call = sandbox.connect().json["Call"]
    created = call["DateCreated"]
    assert len(sandbox.find_calls(DateCreated=f"gte:{created};lte:{created}").json["Calls"]) == 1
    assert sandbox.find_calls(DateCreated=f"gte:{wire_date(+60)}").json["Calls"] == []
    assert sandbox.find_calls(DateCreated=f"lte:{wire_date(-60)}").json["Calls"] == []


def test_calls_are_found_by_status_and_caller_id(sandbox):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "busy"}]}, default=[{"outcome": "completed", "ring": 9000}])
    busy, ringing = sandbox.dial()["Sid"], sandbox.place(OTHER)
    sandbox.in_status(ringing, "ringing")
    assert [call["Sid"] for call in sandbox.find_calls(Status="busy").json["Calls"]] == [busy]
    assert [call["Sid"] for call in sandbox.find_calls(Status="ringing").json["Calls"]] == [ringing]
    assert len(sandbox.find_calls(To="+918012345678").json["Calls"]) == 2
    assert sandbox.find_calls(To="08099999999").json["Calls"] == []


def test_a_page_holds_fifty_calls_and_at_most_a_hundred(sandbox):
    for _ in range(52):
        sandbox.place()
    found = sandbox.find_calls().json
    assert (len(found["Calls"]), found["Metadata"]["Total"]) == (50, 52)
    assert len(sandbox.find_calls(PageSize=100).json["Calls"]) == 52
    assert sandbox.find_calls(PageSize=101).status == 400


@pytest.mark.parametrize(
    "query", [{"DateCreated": "gte:yesterday"}, {"DateCreated": "after:2026-01-01 00:00:00"}, {"Status": "gone"}]
)
def test_a_look_up_that_cannot_be_understood_is_refused(sandbox, query):
    assert sandbox.find_calls(**query).status == 400


def test_a_ringing_call_that_is_hung_up_was_not_answered(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 9000}])
    sid = sandbox.place()
    assert sandbox.hang_up(sid).json["Call"]["Status"] == "no-answer"
    assert sandbox.totals()["live"] == 0


def test_an_answered_call_that_is_hung_up_is_completed_once(sandbox):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "talk": 9000}])
    sid = sandbox.place()
    sandbox.in_status(sid, "in-progress")
    assert sandbox.hang_up(sid).json["Call"]["Status"] == "completed"
    assert sandbox.hang_up(sid).status == 200
    sandbox.loop.pass_time(100)  # beyond the end it would have had
    assert sandbox.totals()["by_outcome"]["completed"] == 1


def test_hanging_up_takes_a_known_call_and_the_status_completed(sandbox):
    assert sandbox.hang_up("0" * 32).status == 404
    assert sandbox.hang_up(sandbox.place(), status="busy").status == 400
