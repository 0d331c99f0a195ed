"""Ordered faults: what the client sees, and whether a phone rang."""

import time

import pytest

from sandbox.clock import from_wire

NUMBER = "+919812345678"
ANSWERED_TOO = {"StatusCallbackEvents[0]": "answered", "StatusCallbackEvents[1]": "terminal"}


@pytest.mark.parametrize(
    ("name", "status"),
    [("http-400", 400), ("http-403", 403), ("http-404", 404), ("http-429", 429), ("http-500", 500), ("http-503", 503)],
)
def test_a_refused_call_rings_nobody(sandbox, name, status):
    sandbox.put_script(faults=[name])
    answer = sandbox.connect()
    assert (answer.status, answer.json["RestException"]["Status"]) == (status, status)
    assert sandbox.totals()["rings"] == 0


@pytest.mark.parametrize(("name", "rings"), [("hang-before-ring", 0), ("hang-after-ring", 1)])
def test_a_hanging_answer_is_held_and_never_given(sandbox, name, rings):
    sandbox.put_script(faults=[{"name": name, "seconds": 20}])
    started = time.monotonic()
    with pytest.raises(OSError, match=r"closed|reset"):
        sandbox.connect()
    assert time.monotonic() - started >= 0.2
    assert sandbox.totals()["rings"] == rings


def test_an_error_after_the_ring_is_an_error_and_a_ring(sandbox):
    sandbox.put_script(faults=["error-after-ring"])
    assert sandbox.connect().status == 500
    assert sandbox.totals()["rings"] == 1


def test_a_malformed_answer_cannot_be_read_and_is_a_ring(sandbox):
    sandbox.put_script(faults=["malformed-answer"])
    answer = sandbox.connect()
    assert answer.status == 200
    with pytest.raises(ValueError, match="Unterminated"):
        _ = answer.json
    assert sandbox.totals()["rings"] == 1


def test_a_call_whose_answer_was_lost_is_found_by_its_number(sandbox):
    sandbox.put_script(faults=["error-after-ring"])
    sandbox.connect(CustomField="attempt 1")
    assert sandbox.find_calls(From=NUMBER).json["Calls"][0]["CustomField"] == "attempt 1"


def test_down_answers_nothing_of_v1(sandbox):
    sid = sandbox.place()
    sandbox.put_script(faults=["down"])
    for request in (sandbox.connect, sandbox.find_calls, lambda: sandbox.call(sid)):
        with pytest.raises(OSError, match=r"closed|reset"):
            request()
    assert sandbox.totals()["rings"] == 1
    assert sandbox.http("GET", "/_sandbox/healthz").status == 200


def test_a_fault_strikes_at_most_so_many_times(sandbox):
    sandbox.put_script(faults=[{"name": "http-503", "times": 2}])
    assert [sandbox.connect().status for _ in range(4)] == [503, 503, 200, 200]


def test_a_request_that_is_faulty_itself_does_not_use_up_a_fault(sandbox):
    sandbox.put_script(faults=[{"name": "http-503", "times": 1}])
    assert [sandbox.connect("nobody").status, sandbox.connect().status] == [400, 503]


def test_a_refused_attempt_does_not_use_up_an_entry_of_the_script(sandbox):
    sandbox.put_script(
        numbers={NUMBER: [{"outcome": "busy"}, {"outcome": "completed"}]}, faults=[{"name": "http-429", "times": 1}]
    )
    assert sandbox.connect().status == 429
    assert sandbox.dial()["Status"] == "busy"


def test_the_rate_is_a_share_drawn_from_the_seed(sandbox):
    def statuses(seed):
        sandbox.put_script(seed=seed, faults=[{"name": "http-500", "rate": 0.5}])
        return [sandbox.connect().status for _ in range(40)]

    first = statuses(1)
    assert 8 <= first.count(500) <= 32
    assert statuses(1) == first
    assert statuses(2) != first


def test_the_first_fault_that_strikes_is_the_one(sandbox):
    sandbox.put_script(faults=[{"name": "http-503", "rate": 0}, {"name": "http-429", "times": 1}, "http-500"])
    assert [sandbox.connect().status for _ in range(2)] == [429, 500]


def dial(sandbox, receiver):
    sandbox.dial(StatusCallback=f"{receiver.url}/events", **ANSWERED_TOO)


def test_dropped_callbacks_are_never_sent(sandbox, receiver, wait_until):
    sandbox.put_script(faults=[{"name": "drop-callbacks", "times": 1}])
    dial(sandbox, receiver)
    wait_until(lambda: receiver.callbacks)
    assert receiver.events() == ["terminal"]


def test_repeated_callbacks_are_sent_three_times(sandbox, receiver, wait_until):
    sandbox.put_script(faults=["repeat-callbacks"])
    dial(sandbox, receiver)
    wait_until(lambda: len(receiver.callbacks) == 6)
    assert receiver.events() == ["answered"] * 3 + ["terminal"] * 3
    assert len({str(callback.fields) for callback in receiver.callbacks}) == 2


@pytest.mark.parametrize(
    ("fault", "ahead"),
    [
        ("callbacks-ahead", 3600),
        ("callbacks-behind", -3600),
        ({"name": "callbacks-ahead", "seconds": 90}, 90),
        ({"name": "callbacks-behind", "rate": 0}, 0),
    ],
)
@pytest.mark.usefixtures("exact_times")
def test_every_time_of_a_callback_is_off_and_the_ring_log_is_right(sandbox, receiver, wait_until, fault, ahead):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 10, "talk": 10}], faults=[fault])
    dial(sandbox, receiver)
    wait_until(lambda: len(receiver.callbacks) == 2)
    [ring] = sandbox.rings()
    answered, terminal = (callback.fields for callback in receiver.callbacks)
    told = {name: from_wire(terminal[name]) - ahead for name in ("DateCreated", "StartTime", "EndTime", "DateUpdated")}
    assert told == {
        "DateCreated": int(ring["start"]),
        "StartTime": int(ring["start"]),
        "EndTime": int(ring["end"]),
        "DateUpdated": int(ring["end"]),
    }
    assert from_wire(answered["StartTime"]) - ahead == int(ring["start"])
    assert "EndTime" not in answered


def test_delayed_callbacks_come_late(sandbox, receiver, wait_until):
    sandbox.put_script(default=[{"outcome": "busy", "ring": 0}], faults=[{"name": "delay-callbacks", "seconds": 30}])
    started = time.monotonic()
    dial(sandbox, receiver)
    wait_until(lambda: receiver.callbacks)
    assert receiver.callbacks[0].at - started >= 0.3


def test_shuffled_callbacks_come_in_reverse_order(sandbox, receiver, wait_until):
    sandbox.put_script(faults=["shuffle-callbacks"])
    dial(sandbox, receiver)
    wait_until(lambda: len(receiver.callbacks) == 2)
    assert receiver.events() == ["terminal", "answered"]
    assert [callback.fields["Status"] for callback in receiver.callbacks] == ["completed", "in-progress"]


def test_a_sid_that_is_given_again_is_that_of_an_earlier_call_and_shows_the_newest(sandbox):
    first = sandbox.place()
    sandbox.put_script(faults=["repeat-sids"])
    again = sandbox.place("+919812345679")
    assert again == first
    assert sandbox.call(first)["From"] == "09812345679"
    assert sandbox.totals()["rings"] == 2
    assert {call["Sid"] for call in sandbox.find_calls().json["Calls"]} == {first}
    assert len(sandbox.find_calls().json["Calls"]) == 2
