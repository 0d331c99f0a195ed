"""What the judge of `make chaos` counts, on rings that are made up. `make mutants` shows that it sees real faults."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from accounts.models import Account, CallerId
from dialer.models import CallAttempt, Transfer
from tools.chaos import judge, leg_judge
from tools.chaos.limits import Cap, Pace, most_at_once, most_within

A, B = CallerId(number="+911"), CallerId(number="+912")


def ring(start=0.0, end=1.0, **more):
    return {"start": start, "end": end, "caller_id": A.number, "number": "+913", "outcome": "completed", **more}


@pytest.mark.parametrize(
    ("rings", "most"),
    [
        ([], 0),
        ([ring(0, 2), ring(1, 3)], 2),
        ([ring(0, 1), ring(1, 2)], 1),
        ([ring(0, 9), ring(1, 2), ring(3, 4)], 2),
        ([ring(0, None), ring(5, 6)], 2),
    ],
)
def test_the_most_calls_up_at_a_moment(rings, most):
    assert most_at_once(rings) == most


@pytest.mark.parametrize(
    ("starts", "most"),
    [([], 0), ([0], 1), ([0, 60], 1), ([0, 59.9], 2), ([50, 0, 100, 61], 3), ([0, 30, 59, 60, 61], 4)],
)
def test_the_most_starts_within_a_minute(starts, most):
    assert most_within(starts, 60) == most


def test_each_cap_counts_the_calls_of_its_own_caller_ids():
    rings = [ring(0, 2), ring(1, 3), ring(1, 3, caller_id=B.number)]
    caps = [Cap("the account", 3, [A, B], must_bind=True), Cap("the caller ID", 1, [A]), Cap("another", 1, [B])]
    assert list(judge.over_caps(rings, caps)) == ["2 calls were up at once over the caller ID, which has 1 channels"]


def test_a_cap_that_was_never_met_tried_nothing():
    caps = [Cap("the trunk", 2, [A], must_bind=True)]
    assert list(judge.over_caps([ring()], caps)) == [
        "nothing was tried: 1 calls were up at most over the trunk, which has 2 channels"
    ]


@pytest.mark.parametrize(
    ("starts", "told"),
    [
        ([0, 20, 40, 61], []),
        ([0, 20, 40, 58], ["4 calls of the account started within a minute, whose pace is 3"]),
        ([0], ["nothing was tried: 1 calls of the account started within a minute, pace 3"]),
    ],
)
def test_a_pace_counts_the_starts_of_any_minute(starts, told):
    run: Any = SimpleNamespace(
        paces=[Pace("the account", 3, frozenset({"main"}))], campaigns={"main": SimpleNamespace(numbers=["+913"])}
    )
    others = [ring(start, number="+919") for start in range(9)]
    assert list(judge.over_paces([ring(start) for start in starts] + others, run)) == told


@pytest.mark.parametrize(
    ("recorded", "rung", "told"),
    [
        ({"status": "completed", "digits": "1"}, {"outcome": "completed", "digits": "1"}, None),
        ({"status": "completed", "digits": ""}, {"outcome": "completed", "digits": "1"}, None),
        ({"status": "failed", "reason": "the carrier no longer knows the call"}, {"outcome": "completed"}, None),
        ({"status": "in-progress"}, {"outcome": "completed"}, None),
        ({"status": "failed"}, {"outcome": "completed"}, "is failed, and its ring was completed"),
        ({"status": "busy"}, {"outcome": "no-answer"}, "is busy, and its ring was no-answer"),
        ({"status": "completed", "reason": "so"}, {"outcome": "busy"}, "is completed, and its ring was busy"),
        ({"status": "completed", "digits": "2"}, {"outcome": "completed", "digits": "1"}, "has the keys 2, and 1 were"),
        ({"status": "completed"}, {"outcome": None}, "is completed, and its call is still up"),
    ],
)
def test_every_outcome_is_that_of_the_ring(recorded, rung, told):
    attempt = CallAttempt(pk=uuid4(), **recorded)
    rings = [ring(attempt_id=attempt.pk.hex, **{"digits": "", **rung})]
    found = list(judge.misreported(rings, {attempt.pk: attempt}))
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


# Rules for numbers ---------------------------------------------------------------------------------------------------


def answered(ring, attempts, status="completed"):
    """Give the ring an attempt that ended so."""
    ring["attempt_id"] = uuid4().hex
    attempts[UUID(ring["attempt_id"])] = CallAttempt(status=status)
    return ring


def test_a_number_that_is_rung_twice_at_once_is_seen_over_all_campaigns():
    assert list(judge.twice_at_once([ring(0, 2), ring(2, 3), ring(1, 2, number="+914")])) == []
    assert list(judge.twice_at_once([ring(1, 3), ring(0, 2)])) == ["+913 was rung twice at once"]
    assert list(judge.twice_at_once([ring(0, None), ring(9, 10)])) == ["+913 was rung twice at once"]


@pytest.mark.parametrize(
    ("caps", "gap", "rings", "told"),
    [
        (["2 attempts in 1 minute"], 0, [(0, 1), (10, 11), (61, 62)], []),
        (["2 attempts in 1 minute"], 0, [(0, 1), (10, 11), (50, 51)], ["above its cap of 2 attempts in 1 minute"]),
        (["1 conversation in 1 minute"], 0, [(0, 1), (70, 71)], []),
        (["1 conversation in 1 minute"], 0, [(0, 1), (10, 11)], ["above its cap of 1 conversation in 1 minute"]),
        ([], 5, [(0, 1), (6, 7)], []),
        ([], 5, [(0, 1), (4, 5)], ["less than 5 s after another call"]),
    ],
)
def test_a_number_that_is_rung_above_its_cap_or_too_soon_is_seen(caps, gap, rings, told):
    attempts: dict[UUID, CallAttempt] = {}
    made = [answered(ring(start, end), attempts) for start, end in rings]
    account = Account(number_caps=caps, number_gap_seconds=gap)
    assert list(judge.above_caps_of_numbers(made, attempts, account)) == [f"+913 was rung {what}" for what in told]


def test_a_conversation_that_nobody_could_tell_of_counts_for_no_cap():
    attempts: dict[UUID, CallAttempt] = {}
    made = [answered(ring(0, 1), attempts, "failed"), answered(ring(10, 11), attempts)]
    account = Account(number_caps=["1 conversation in 1 minute"])
    assert list(judge.above_caps_of_numbers(made, attempts, account)) == []


def test_a_number_that_is_rung_though_it_is_listed_is_seen():
    rings = [ring(0, 1), ring(20, 21), ring(20, 21, number="+914")]
    assert list(judge.though_listed(rings, {"+913": 10.0})) == ["+913 was rung though on the do-not-call list"]
    assert list(judge.though_listed(rings, {"+913": 19.0})) == []


@pytest.mark.parametrize(("elsewhere", "told"), [(0, 2), (1, 2), (2, 0)])
def test_a_ring_without_an_attempt_is_told_unless_reconciling_has_named_as_many(elsewhere, told):
    known = CallAttempt(pk=uuid4(), status="completed")
    rings = [{"attempt_id": known.pk.hex}, *({"attempt_id": uuid4().hex} for _ in range(2))]
    assert len(list(judge.unrecorded(rings, {known.pk: known}, elsewhere=elsewhere))) == told


def test_an_attempt_that_rang_and_was_canceled_and_one_that_never_rang_are_told():
    canceled, silent = (CallAttempt(pk=uuid4(), status=status) for status in ("canceled", "busy"))
    found = list(judge.unrecorded([{"attempt_id": canceled.pk.hex}], {one.pk: one for one in (canceled, silent)}))
    assert found == [
        f"attempt {canceled.pk.hex} rang, and is canceled",
        f"attempt {silent.pk.hex} is busy and never rang",
    ]


# Legs ----------------------------------------------------------------------------------------------------------------


def leg(start=0.0, end=1.0, attempt_id=None, **more):
    return ring(start, end, attempt_id=attempt_id or uuid4().hex, parent_call_sid="CA1", **more)


def recorded(leg, outcome="completed", placed=True, **more):
    at = timezone.now() if placed else None
    return {leg_judge.key_of(leg): Transfer(placing_at=at, outcome=outcome, **more)}


def test_a_person_who_is_rung_by_an_attempt_and_a_leg_at_once_is_seen():
    assert list(judge.twice_at_once([ring(0, 2), leg(1, 3)])) == ["+913 was rung twice at once"]
    assert list(judge.twice_at_once([leg(0, 2), leg(2, 3)])) == []


@pytest.mark.parametrize(
    ("cap", "outcome", "times"),
    [
        ("2 attempts in 1 minute", "busy", 1),
        ("3 attempts in 1 minute", "busy", 0),
        ("1 conversation in 1 minute", "completed", 2),
        ("3 conversations in 1 minute", "completed", 0),
        # It ended with its call: nobody has told that it was taken.
        ("1 conversation in 1 minute", "canceled", 1),
    ],
)
def test_attempts_and_legs_count_for_one_cap(cap, outcome, times):
    attempts: dict[UUID, CallAttempt] = {}
    connected = leg(10, 11)
    made = [connected, answered(ring(20, 21), attempts), answered(ring(40, 41), attempts)]
    account = Account(number_caps=[cap], number_gap_seconds=0)
    told = list(judge.above_caps_of_numbers(made, attempts, account, recorded(connected, outcome)))
    assert told == [f"+913 was rung above its cap of {cap}"] * times


def test_a_leg_that_rings_twice_is_seen():
    once, other = leg(), leg(number="+914")
    again = leg(attempt_id=once["attempt_id"])
    assert list(leg_judge.rung_twice([once, other])) == []
    [told] = leg_judge.rung_twice([once, other, again])
    assert told.startswith("+913 was rung 2 times by the flow of attempt")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, None),
        ({"outcome": "canceled"}, None),
        ({"outcome": "busy"}, "is busy, and its ring was completed"),
        ({"placed": False}, "rang, and is not recorded"),
        ({"outcome": "failed", "rule": "number-cap"}, "rang, and was refused for number-cap"),
    ],
)
def test_what_is_recorded_of_a_leg_is_compared_with_its_ring(found, told):
    rang = leg()
    differing = list(leg_judge.differing([rang], recorded(rang, **found)))
    assert len(differing) == (told is not None)
    assert told is None or differing[0].endswith(told)


def test_a_leg_that_rang_unknown_and_one_that_never_ends_are_told():
    rang, silent = leg(), leg(number="+914")
    [unknown, open_] = leg_judge.differing([rang], recorded(silent, ""))
    assert unknown.endswith("rang, and is not recorded")
    assert open_.endswith("to +914 has not ended")


def test_a_run_without_legs_or_without_refusals_has_tried_nothing():
    rang = leg()
    assert len(list(leg_judge.tried([], {}))) == 2
    assert list(leg_judge.tried([rang], recorded(rang))) == ["nothing was tried: no leg was refused"]
    assert list(leg_judge.tried([rang], recorded(rang) | recorded(leg(), "failed", False, rule="number-cap"))) == []


def test_a_leg_of_a_campaign_that_is_paused_or_over_is_seen_whoever_else_calls_the_number():
    attempt, other = CallAttempt(pk=uuid4(), campaign_id=uuid4()), CallAttempt(pk=uuid4(), campaign_id=uuid4())
    held: Any = SimpleNamespace(id=attempt.campaign_id, name="held", silences=[(5.0, 9.0)])
    legs = [leg(start, start + 1, one.pk.hex) for start in (4, 6, 10) for one in (attempt, other)]
    told = list(leg_judge.out_of_bounds(legs, {one.pk: one for one in (attempt, other)}, {"held": held}))
    assert told == ["held: +913 was rung by a flow 1.0 s too late"]
