"""What final responses mean, and how a call's row is told to the dialer."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from dialer.carriers.base import UnreadableEvent
from sipgateway import codes, snapshots
from sipgateway.codes import Concerns
from sipgateway.models import SipCall

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "outcome", "concerns"),
    [
        (486, "busy", Concerns.CALLEE),
        (600, "busy", Concerns.CALLEE),
        (603, "busy", Concerns.CALLEE),
        (408, "no-answer", Concerns.CALLEE),
        (480, "no-answer", Concerns.CALLEE),
        (487, "no-answer", Concerns.CALLEE),
        (404, "failed", Concerns.NUMBER),
        (410, "failed", Concerns.NUMBER),
        (484, "failed", Concerns.NUMBER),
        (604, "failed", Concerns.NUMBER),
        (607, "failed", Concerns.NUMBER),
        (401, "canceled", Concerns.OUR_SIDE),
        (403, "canceled", Concerns.OUR_SIDE),
        (407, "canceled", Concerns.OUR_SIDE),
        (302, "canceled", Concerns.OUR_SIDE),
        (488, "canceled", Concerns.OUR_SIDE),
        (499, "canceled", Concerns.OUR_SIDE),
        (608, "canceled", Concerns.OUR_SIDE),
        (503, "canceled", Concerns.OUR_SIDE),
        (codes.NOT_SENT, "canceled", Concerns.TRUNK),
        (500, "failed", Concerns.CALLEE),
        (504, "failed", Concerns.CALLEE),
    ],
)
def test_a_code_means_an_outcome_and_whose_it_is(code, outcome, concerns):
    assert codes.meaning_of(code, has_rung=False) == codes.Meaning(outcome, concerns)


@pytest.mark.parametrize("code", [503, 403, 407, 302])
def test_a_call_that_rang_counts_whatever_ended_it(code):
    assert codes.meaning_of(code, has_rung=True).outcome == "failed"


def test_a_number_that_is_at_fault_stays_so_after_an_announcement():
    assert codes.meaning_of(404, has_rung=True).concerns == Concerns.NUMBER


def call(**columns) -> SipCall:
    return SipCall(attempt_id=uuid4(), status="ended", inviting_at=NOW, ended_at=NOW + timedelta(seconds=30), **columns)


def test_a_call_that_was_given_back_is_so_only_while_the_dialer_was_not_told_that_the_trunk_has_it():
    assert snapshots.snapshot(call(outcome="canceled", code=503))["status"] == "canceled"
    assert snapshots.snapshot(call(outcome="canceled", code=503, is_taken=True))["status"] == "failed"


def test_a_snapshot_is_read_as_the_event_of_the_whole_call():
    row = call(outcome="completed", answered_at=NOW + timedelta(seconds=9), digits="15#", reason="the callee hung up")
    event = snapshots.read(snapshots.snapshot(row))
    assert (event.status, event.carrier_ref, event.digits) == ("completed", row.attempt_id.hex, "15#")
    assert (event.started_at, event.ended_at, event.duration_seconds) == (NOW, row.ended_at, 21)


def test_only_a_response_about_the_number_fails_a_call_for_good():
    assert snapshots.read(snapshots.snapshot(call(outcome="failed", code=404))).names_number
    assert not snapshots.read(snapshots.snapshot(call(outcome="failed", code=500))).names_number
    assert not snapshots.read(snapshots.snapshot(call(outcome="failed"))).names_number


@pytest.mark.parametrize(
    ("code", "outcome", "wish"),
    [(603, "busy", "refusal"), (607, "failed", "refusal"), (608, "failed", ""), (486, "busy", ""), (None, "busy", "")],
)
def test_a_response_of_the_person_called_tells_the_wish(code, outcome, wish):
    assert snapshots.read(snapshots.snapshot(call(outcome=outcome, code=code))).wish == wish
    assert snapshots.read({"status": "in-progress", "code": code}).wish == ""


@pytest.mark.parametrize("payload", [{}, {"status": "ringing"}, {"status": None}, {"status": "claimed"}])
def test_what_is_no_snapshot_is_refused(payload):
    with pytest.raises(UnreadableEvent, match="is not one of a SIP call"):
        snapshots.read(payload)


def test_a_moment_that_is_none_costs_the_moment_alone():
    event = snapshots.read({"status": "busy", "ended_at": "yesterday", "answered_at": "2026-03-02T06:00:00"})
    assert (event.status, event.ended_at, event.answered_at) == ("busy", None, None)
