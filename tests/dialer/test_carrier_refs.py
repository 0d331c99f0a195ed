"""A carrier's id that comes back decides nothing: the token of the callback address alone says whose news it is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Call
from dialer import carriers, inbox, look_ups, repair_counts
from dialer.carriers.base import Accepted, AnothersCall, Event
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.factories import TrunkFactory

A, B, C = NUMBERS[:3]
S = "sid-of-an-earlier-call"


@pytest.fixture
def repeats(rig, monkeypatch):
    """The carrier takes every call, gives all of them one id, and sends no event of its own."""
    place = rig.carrier.place

    def placed(requests):
        return {pk: Accepted(S) if isinstance(reply, Accepted) else reply for pk, reply in place(requests).items()}

    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:3]}
    monkeypatch.setattr(rig.carrier, "place", placed)
    rig.carrier.lists_calls = False  # its list has ids that differ
    return rig


def at(number):
    return CallAttempt.objects.filter(callee=number).latest("claimed_at", "id")


def dial(rig, *numbers, **columns):
    rig.campaign(list(numbers), **columns)
    rig.tick()
    return [at(number) for number in numbers]


def tell(attempt, status, ref=S):
    inbox.append("simulated", [(attempt.pk, {"status": status, "ref": ref})])


def repeated():
    return repair_counts.read().get(repair_counts.REPEATED_IDS, 0)


def stored(number):
    attempt = at(number)
    return attempt.status, attempt.carrier_ref, attempt.ref_is_repeated


def test_each_call_of_a_repeated_id_ends_by_its_own_events(repeats):
    dial(repeats, A)
    dial(repeats, B)
    assert (stored(A), stored(B)) == (("in-progress", S, False), ("in-progress", S, True))
    tell(at(B), "busy")
    repeats.settle()
    assert (at(A).status, at(B).status) == ("in-progress", "busy")
    tell(at(A), "completed")
    repeats.settle()
    assert (at(A).status, at(B).status) == ("completed", "busy")
    assert repeated() == 1


def test_one_id_for_a_whole_batch_costs_none_of_its_replies(repeats):
    dial(repeats, A, B, C)
    assert {stored(number)[:2] for number in (A, B, C)} == {("in-progress", S)}
    assert repeated() == 2


def test_the_id_of_a_call_that_has_ended_is_not_asked_for_again(repeats, monkeypatch):
    dial(repeats, A)
    tell(at(A), "completed")
    repeats.settle()
    dial(repeats, B, retries=1)
    assert (stored(A), stored(B)) == (("completed", S, False), ("in-progress", S, True))
    monkeypatch.setattr(repeats.carrier, "look_up", lambda placed: pytest.fail("it shows the call of another attempt"))
    monkeypatch.setattr(repeats.carrier, "hang_up", lambda refs: pytest.fail("it may end the call of another"))
    repeats.clock.shift(61)
    repeats.recover()
    assert at(B).status == "in-progress"
    repeats.clock.shift(look_ups.longest_call())
    assert repeats.recover().given_up == 1
    assert (at(B).status, Call.objects.get(number=B).attempts_made) == ("failed", 1)


def test_the_attempt_that_had_the_id_first_is_not_asked_for_by_it_either(repeats, monkeypatch):
    """What the carrier shows under it may be the other call: its outcome would be booked for this one."""
    dial(repeats, A)
    dial(repeats, B)
    monkeypatch.setattr(repeats.carrier, "look_up", lambda placed: pytest.fail("it shows either call"))
    repeats.clock.shift(61)
    repeats.recover()
    assert (at(A).status, at(B).status) == ("in-progress", "in-progress")


def test_a_third_call_of_the_id_is_refused_as_well(repeats):
    for number in (A, B, C):
        dial(repeats, number)
    assert stored(C) == ("in-progress", S, True)
    assert repeated() == 2


def test_a_retry_under_the_id_of_its_first_attempt_is_another_call(repeats):
    [first] = dial(repeats, A, retries=1)
    tell(first, "busy")
    repeats.settle()
    repeats.later(minutes=11)
    assert at(A).pk != first.pk
    assert stored(A) == ("in-progress", S, True)
    tell(first, "completed")
    repeats.settle()
    assert at(A).status == "in-progress", "late news of the first attempt"


@pytest.mark.parametrize("status", ["in-progress", "completed", "busy"])
@pytest.mark.parametrize("reply", ["silent", "lost-after-ring"])
def test_an_event_with_anothers_id_is_the_news_of_its_address_alone(rig, status, reply):
    rig.carrier.script = {A: ["silent"], B: [reply]}
    other, own = dial(rig, A, B)
    tell(own, status, ref=other.carrier_ref)
    rig.settle()
    assert at(A).status == "in-progress"
    assert at(B).status == status
    is_own = reply == "silent"
    assert (at(B).carrier_ref == own.pk.hex, at(B).ref_is_repeated) == (is_own, not is_own)
    assert repeated() == 1


def test_an_event_that_comes_three_times_counts_once(rig):
    rig.carrier.script = {A: ["silent"], B: ["lost-after-ring"]}
    other, own = dial(rig, A, B)
    for _ in range(3):
        tell(own, "in-progress", ref=other.carrier_ref)
        rig.settle()
    assert repeated() == 1


def test_events_of_one_batch_that_bring_one_id_settle_each_their_own(rig):
    rig.carrier.script = {number: ["lost-after-ring"] for number in (A, B, C)}
    dial(rig, A, B, C)
    for number, status in ((A, "in-progress"), (B, "busy"), (C, "completed")):
        tell(at(number), status)
    rig.settle()
    assert [at(number).status for number in (A, B, C)] == ["in-progress", "busy", "completed"]
    assert repeated() == 2


def test_a_call_that_is_anothers_under_the_own_id_is_not_believed(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"]}
    dial(rig, A)
    monkeypatch.setattr(rig.carrier, "_look_up", lambda _: AnothersCall())
    rig.clock.shift(61)
    rig.recover()
    assert stored(A) == ("in-progress", at(A).pk.hex, True)
    assert repeated() == 1
    monkeypatch.setattr(rig.carrier, "look_up", lambda placed: pytest.fail("it was asked for once"))
    rig.clock.shift(61)
    rig.recover()
    tell(at(A), "busy", ref=at(A).carrier_ref)
    rig.settle()
    assert at(A).status == "busy"


@pytest.mark.parametrize("status", ["in-progress", "completed"])
@pytest.mark.parametrize("holder", ["under way", "ended"])
def test_a_call_found_by_number_under_anothers_id_is_not_believed(rig, monkeypatch, status, holder):
    """The carrier has given the id of a call to another number to the one that is looked for."""
    rig.carrier.script = {A: ["silent"], B: ["lost-after-ring", "completed"]}
    other, _ = dial(rig, A, B, retries=2)
    if holder == "ended":
        tell(other, "completed", ref=other.carrier_ref)
        rig.settle()
    found = Event(status, carrier_ref=other.carrier_ref, is_guess=True)
    monkeypatch.setattr(rig.carrier, "_look_up", lambda _: found)
    for _ in range(3):
        rig.clock.shift(31)
        rig.recover()
        rig.tick()
    assert stored(B) == ("unknown", other.carrier_ref, True)
    assert stored(A)[::2] == ("in-progress" if holder == "under way" else "completed", False)
    assert rig.rings(B) == [B]
    assert repeated() == 1


def test_a_guess_that_was_confirmed_is_no_guess_any_more(rig, monkeypatch):
    rig.carrier.script = {A: ["lost-after-ring"]}
    dial(rig, A)
    monkeypatch.setattr(rig.carrier, "_look_up", lambda _: Event("in-progress", carrier_ref=S, is_guess=True))
    rig.clock.shift(31)
    rig.recover()
    assert (at(A).carrier_ref, at(A).ref_is_guess) == (S, True)
    tell(at(A), "in-progress")
    rig.settle()
    assert not at(A).ref_is_guess


def test_an_event_sets_a_wrong_guess_right(rig, monkeypatch):
    rig.carrier.script = {A: ["lost-after-ring"]}
    dial(rig, A)
    monkeypatch.setattr(rig.carrier, "_look_up", lambda _: Event("in-progress", carrier_ref="wrong", is_guess=True))
    rig.clock.shift(31)
    rig.recover()
    tell(at(A), "in-progress")
    rig.settle()
    assert (at(A).carrier_ref, at(A).ref_is_guess, at(A).ref_is_repeated) == (S, False, False)


def test_a_call_booked_by_a_wrong_guess_does_not_cost_its_owner_the_id(rig, monkeypatch):
    """The guess has ended; the owner's reply comes after it."""
    rig.carrier.script = {A: ["lost-after-ring"], B: ["lost-after-ring"]}
    dial(rig, A)
    monkeypatch.setattr(rig.carrier, "_look_up", lambda _: Event("completed", carrier_ref=S, is_guess=True))
    rig.clock.shift(31)
    rig.recover()
    dial(rig, B)
    tell(at(B), "busy")
    rig.settle()
    assert stored(B) == ("busy", S, False)
    assert stored(A) == ("completed", "", False)
    assert repeated() == 0


def test_ids_of_two_carrier_accounts_have_nothing_to_do_with_each_other(repeats, monkeypatch):
    dial(repeats, A)
    repeats.caller_id.trunk = TrunkFactory(account_sid="other")
    repeats.caller_id.save()
    carrier = carriers.carrier_of(repeats.caller_id.trunk)
    monkeypatch.setattr(carrier, "place", lambda requests: {request.attempt_id: Accepted(S) for request in requests})
    dial(repeats, B)
    assert (stored(A), stored(B)) == (("in-progress", S, False), ("in-progress", S, False))
    assert repeated() == 0


def test_a_call_that_came_too_late_is_not_hung_up_under_anothers_id(repeats, monkeypatch):
    dial(repeats, A)
    hung_up: list[str] = []

    def hang_up(refs):
        hung_up.extend(refs)
        return []

    monkeypatch.setattr(repeats.carrier, "hang_up", hang_up)
    place = repeats.carrier.place

    def stalled(requests):
        repeats.clock.shift(timedelta(seconds=40))
        ids = [request.attempt_id for request in requests]
        CallAttempt.objects.filter(pk__in=ids).update(status="canceled", ended_at=timezone.now())
        return place(requests) and {pk: Accepted(S) for pk in ids}

    monkeypatch.setattr(repeats.carrier, "place", stalled)
    dial(repeats, B)
    assert at(B).status == "canceled"
    assert hung_up == []
