"""StatusCallbacks: their fields, their order and their retries."""

import pytest

NUMBER = "+919812345678"
ALL = {f"StatusCallbackEvents[{place}]": event for place, event in enumerate(("ringing", "answered", "terminal"))}
ANSWERED_TOO = {"StatusCallbackEvents[0]": "answered", "StatusCallbackEvents[1]": "terminal"}


def test_the_end_of_a_call_is_told_in_three_fields(sandbox, receiver, wait_until):
    sid = sandbox.place(StatusCallback=f"{receiver.url}/events", CustomField="order 7")
    wait_until(lambda: receiver.callbacks)
    (callback,) = receiver.callbacks
    assert callback.content_type.startswith("multipart/form-data; boundary=")
    assert callback.fields == {
        "CallSid": sid,
        "Status": "completed",
        "DateUpdated": sandbox.call(sid)["DateUpdated"],
    }


@pytest.mark.usefixtures("exact_times")
@pytest.mark.parametrize(
    ("asked", "received"), [("multipart/form-data", "multipart/form-data; boundary="), ("application/json",) * 2]
)
def test_events_tell_more(sandbox, receiver, wait_until, asked, received):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "completed", "digits": "2"}]})
    sid = sandbox.place(
        StatusCallback=f"{receiver.url}/events?token=t",
        StatusCallbackContentType=asked,
        CustomField="order 7",
        Url=receiver.flow("menu", {"gather": {"branches": {"2": []}}}),
        **ANSWERED_TOO,
    )
    wait_until(lambda: len(receiver.callbacks) == 2)
    answered, terminal = receiver.callbacks
    call = sandbox.call(sid)
    assert terminal.path == "/events?token=t"
    assert terminal.content_type.startswith(received)
    assert terminal.fields == {
        "CallSid": sid,
        "Status": "completed",
        "DateUpdated": call["DateUpdated"],
        "EventType": "terminal",
        "DateCreated": call["DateCreated"],
        "To": "08012345678",
        "From": "09812345678",
        "PhoneNumberSid": "08012345678",
        "StartTime": call["StartTime"],
        "EndTime": call["EndTime"],
        "ConversationDuration": "0",
        "Direction": "outbound-api",
        "CustomField": "order 7",
        "Digits": "2",
    }
    assert answered.fields["EventType"] == "answered"
    assert answered.fields["Status"] == "in-progress"
    assert "EndTime" not in answered.fields


def test_answered_is_told_only_when_asked_for(sandbox, receiver, wait_until):
    fields = {"StatusCallback": f"{receiver.url}/events", "StatusCallbackEvents[]": "terminal"}
    sandbox.dial(**fields)
    wait_until(lambda: receiver.callbacks)
    assert receiver.events() == ["terminal"]


def test_a_call_nobody_answers_has_a_terminal_event_only(sandbox, receiver, wait_until):
    sandbox.put_script(default=[{"outcome": "busy"}])
    sandbox.dial(StatusCallback=f"{receiver.url}/events", **ANSWERED_TOO)
    wait_until(lambda: receiver.callbacks)
    assert [callback.fields["Status"] for callback in receiver.callbacks] == ["busy"]


def test_a_call_without_status_callback_tells_nobody(sandbox, receiver):
    assert sandbox.dial(**ANSWERED_TOO)["Status"] == "completed"
    assert receiver.callbacks == []


def test_a_callback_is_tried_again_until_it_is_taken(sandbox, receiver, wait_until):
    receiver.statuses = [500, 404, 302]
    sandbox.dial(StatusCallback=f"{receiver.url}/events")
    wait_until(lambda: len(receiver.callbacks) == 4)
    assert len({callback.fields["CallSid"] for callback in receiver.callbacks}) == 1


def test_answered_is_finished_before_terminal_is_sent(sandbox, receiver, wait_until):
    receiver.statuses = [500, 500]
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "talk": 0}])
    sandbox.dial(StatusCallback=f"{receiver.url}/events", **ANSWERED_TOO)
    wait_until(lambda: len(receiver.callbacks) == 4)
    assert receiver.events() == ["answered", "answered", "answered", "terminal"]


def test_a_callback_is_given_up_after_the_fifth_retry_and_the_next_one_is_sent(sandbox, receiver, wait_until):
    receiver.statuses = [500] * 6
    sandbox.dial(StatusCallback=f"{receiver.url}/events", **ANSWERED_TOO)
    wait_until(lambda: "terminal" in receiver.events())
    assert receiver.events() == ["answered"] * 6 + ["terminal"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/nobody", "no url", "ftp://127.0.0.1/"])
def test_a_receiver_that_is_not_there_does_not_trouble_the_call(sandbox, url):
    assert sandbox.dial(StatusCallback=url)["Status"] == "completed"
    assert sandbox.totals()["live"] == 0


def test_the_ring_is_told_where_it_is_asked_for(sandbox, receiver, wait_until):
    sandbox.place(StatusCallback=f"{receiver.url}/events", **ALL)
    wait_until(lambda: len(receiver.callbacks) == 3)
    told = [(callback.fields["EventType"], callback.fields["Status"]) for callback in receiver.callbacks]
    assert told == [("ringing", "ringing"), ("answered", "in-progress"), ("terminal", "completed")]
