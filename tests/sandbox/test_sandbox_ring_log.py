"""The ring log: rings, totals and filters."""

import time
import uuid

import pytest

from sandbox.ring_log import RingLog, attempt_id_of, totals_of

NUMBER = "+919812345678"
OTHER = "+919800000001"
FOREVER = {"outcome": "completed", "ring": 90_000}


def callback_url(attempt_id):
    return f"http://127.0.0.1:1/carrier-events/{attempt_id}?token=t"


def test_a_ring_says_who_when_and_for_which_attempt(sandbox):
    attempt = str(uuid.uuid4())
    sandbox.put_script(default=[{"outcome": "completed"}])
    before = time.time()
    sid = sandbox.dial(StatusCallback=callback_url(attempt))["Sid"]
    (ring,) = sandbox.rings()
    assert before <= ring["start"] < ring["answer"] < ring["end"] <= time.time()
    assert (
        ring
        | {
            "number": NUMBER,
            "caller_id": "08012345678",
            "attempt_id": attempt,
            "call_sid": sid,
            "outcome": "completed",
            "digits": "",
            "concurrent": 1,
        }
        == ring
    )


def test_a_ring_is_logged_before_its_call_is_answered(sandbox):
    sandbox.put_script(default=[FOREVER])
    sid = sandbox.place()
    (ring,) = sandbox.rings()
    assert (ring["call_sid"], ring["answer"], ring["end"], ring["outcome"]) == (sid, None, None, None)
    assert sandbox.totals()["live"] == 1


def test_totals_count_rings_by_outcome(sandbox):
    sandbox.put_script(
        numbers={
            NUMBER: [{"outcome": "busy"}, {"outcome": "failed"}, {"outcome": "no-answer"}, {"outcome": "completed"}]
        }
    )
    for _ in range(5):
        sandbox.dial()
    assert sandbox.totals() == {
        "rings": 5,
        "double_rings": 0,
        "most_at_once": 1,
        "answered": 2,
        "live": 0,
        "by_outcome": {"completed": 2, "busy": 1, "no-answer": 1, "failed": 1},
    }


def test_a_second_ring_for_one_attempt_is_a_double_ring_however_its_id_is_written(sandbox):
    twice, once = uuid.uuid4(), uuid.uuid4()
    for attempt in (str(twice), twice.hex, twice.hex.upper(), str(once)):
        sandbox.place(StatusCallback=callback_url(attempt))
    assert sandbox.totals()["double_rings"] == 2
    assert sandbox.totals(attempt_id=twice)["double_rings"] == 2
    assert sandbox.totals(attempt_id=once)["double_rings"] == 0


def test_rings_without_an_attempt_are_no_double_rings(sandbox):
    for _ in range(2):
        sandbox.place()
        sandbox.place(StatusCallback="http://127.0.0.1:1/events")
    assert sandbox.totals()["double_rings"] == 0
    assert {ring["attempt_id"] for ring in sandbox.rings()} == {None}


@pytest.mark.parametrize(
    ("url", "attempt_id"),
    [
        ("http://a/carrier-events/0123456789abcdef0123456789abcdef?token=x", "0123456789abcdef0123456789abcdef"),
        ("http://a/e/01234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"),
        ("http://a/e?id=0123456789abcdef0123456789abcdef", None),
        ("http://a/carrier-events", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_the_attempt_id_is_the_last_path_segment_of_the_status_callback(url, attempt_id):
    assert attempt_id_of(url) == attempt_id


def test_most_at_once_remembers_the_peak(sandbox):
    sandbox.put_script(default=[FOREVER])
    sids = [sandbox.place() for _ in range(3)]
    sandbox.hang_up(sids[0])
    sids.append(sandbox.place())
    for sid in sids:
        sandbox.hang_up(sid)
    sandbox.place()
    assert [ring["concurrent"] for ring in sandbox.rings()] == [1, 2, 3, 3, 1]
    assert (sandbox.totals()["most_at_once"], sandbox.totals()["live"]) == (3, 1)


def test_filters_count_over_the_rings_they_let_through(sandbox):
    sandbox.put_script(default=[FOREVER])
    first = sandbox.place(OTHER, CallerId="08011111111")
    sandbox.hang_up(first)
    for number in (NUMBER, OTHER, OTHER):
        sandbox.place(number)
    assert sandbox.totals(number=OTHER) | {"rings": 3, "most_at_once": 2, "live": 2} == sandbox.totals(number=OTHER)
    assert len(sandbox.rings(number="0" + OTHER[3:])) == 3
    assert [ring["call_sid"] for ring in sandbox.rings(caller_id="+918011111111")] == [first]
    assert sandbox.totals(caller_id="08012345678")["most_at_once"] == 3
    assert sandbox.ring_log(number="+919999999999")["totals"]["rings"] == 0


def test_totals_can_be_had_without_the_list(sandbox):
    sandbox.place()
    assert "rings" not in sandbox.ring_log(totals=1)


def test_an_empty_log_is_an_empty_list(sandbox):
    assert sandbox.rings() == []


def test_forgetting_keeps_the_rings_still_up(sandbox):
    attempt = uuid.uuid4()
    sandbox.put_script(numbers={NUMBER: [{"outcome": "busy"}]}, default=[FOREVER])
    finished = sandbox.dial()
    live = sandbox.place(OTHER, StatusCallback=callback_url(attempt))
    sandbox.http("DELETE", "/_sandbox/rings")
    assert [ring["call_sid"] for ring in sandbox.rings()] == [live]
    assert sandbox.totals() | {"rings": 1, "most_at_once": 1, "live": 1} == sandbox.totals()
    assert sum(sandbox.totals()["by_outcome"].values()) == 0
    assert sandbox.call(finished["Sid"])["Status"] == "busy"
    sandbox.place(OTHER, StatusCallback=callback_url(attempt))
    assert sandbox.totals()["double_rings"] == 1


def test_the_counted_totals_are_those_of_the_log(sandbox):
    sandbox.put_script(default=[{"outcome": "completed"}, {"outcome": "busy"}])
    sids = [sandbox.place(f"+91980000{n:04}", StatusCallback=callback_url(uuid.uuid4())) for n in range(100)]
    for sid in sids:
        sandbox.ended(sid)
    assert sandbox.totals() == sandbox.totals(caller_id="08012345678")


def test_beyond_its_limit_the_log_drops_the_oldest_rings_and_keeps_counting():
    log = RingLog(max_rings=2)
    for number in range(3):
        ring = log.start(f"+9198000000{number}", "", uuid.uuid4().hex, str(number), float(number))
        log.ended(ring, number + 0.5, "busy", "")
    assert [ring.call_sid for ring in log.snapshot()] == ["1", "2"]
    assert (log.totals.rings, log.totals.by_outcome["busy"], log.totals.double_rings) == (3, 3, 0)


def test_a_line_free_at_the_moment_of_the_next_ring_is_one_at_once():
    log = RingLog()
    log.ended(log.start("a", "", None, "1", 1.0), 2.0, "busy", "")
    log.ended(log.start("b", "", None, "2", 2.0), 3.0, "busy", "")
    assert totals_of(log.snapshot()).most_at_once == 1


def test_a_long_log_is_complete(sandbox):
    """The log is longer than one batch of the streamed response."""
    sandbox.put_script(default=[{"outcome": "busy", "ring": 0}])
    for _ in range(2_100):
        sandbox.connect()
    log = sandbox.ring_log()
    assert len({ring["call_sid"] for ring in log["rings"]}) == log["totals"]["rings"] == 2_100
