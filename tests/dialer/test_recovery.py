"""Recovery: what crashes, lost messages and silent carriers leave behind, and how it is repaired."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from campaigns import schedule
from campaigns.models import Call, Campaign
from dialer import dialing, inbox, look_ups, messages, sweep_lease
from dialer.carriers import carrier_of
from dialer.carriers.base import CantTell, Event, NoSuchCall
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, leases
from tests.factories import CallAttemptFactory, CallerIdFactory, TrunkFactory

A, B = NUMBERS[:2]


def attempt() -> CallAttempt:
    return CallAttempt.objects.select_related("call").latest("claimed_at", "id")


def die_while_placing(rig, monkeypatch, *, rung: bool):
    """A worker is killed after the intent was committed, before or after the carrier rang."""
    place = rig.carrier.place

    def crash(requests):
        if rung:
            place(requests)
        raise KeyboardInterrupt

    monkeypatch.setattr(rig.carrier, "place", crash)
    with pytest.raises(KeyboardInterrupt):
        rig.tick()
    monkeypatch.setattr(rig.carrier, "place", place)


def test_a_lost_dial_message_is_sent_again(rig, monkeypatch):
    enqueued = []
    rig.campaign(1)
    schedule.start_due(timezone.now())
    rig.dispatch()
    monkeypatch.setattr(messages, "enqueue", lambda task, *args, **_: enqueued.append((task, args)))
    assert rig.recover().messages_resent == 0
    rig.clock.shift(11)
    assert rig.recover().messages_resent == 1
    assert enqueued == [("dialer.dial", ([attempt().pk.hex],))]


def test_an_attempt_that_died_before_it_rang_is_given_back_once_the_carrier_has_been_asked(rig, monkeypatch):
    rig.campaign(1)
    die_while_placing(rig, monkeypatch, rung=False)
    rig.clock.shift(16)
    rig.recover()
    assert attempt().status == "unknown", "the carrier's list may lag behind its calls"
    rig.clock.shift(15)
    assert rig.recover().given_back == 1
    assert Call.objects.get().attempts_made == 0
    rig.tick()
    assert rig.rings() == [A]


def test_an_attempt_that_died_after_it_rang_is_adopted_and_not_rung_again(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1, retries=3)
    die_while_placing(rig, monkeypatch, rung=True)
    rig.clock.shift(16)
    assert rig.recover().adopted == 1
    assert (attempt().status, attempt().carrier_ref) == ("in-progress", attempt().pk.hex)
    for _ in range(10):
        rig.later(seconds=30)
        rig.recover()
    assert rig.rings() == [A]


@pytest.mark.parametrize(("reply", "outcome"), [("lost-before-ring", "canceled"), ("lost-after-ring", "in-progress")])
def test_a_lost_reply_is_settled_by_asking(rig, reply, outcome):
    rig.carrier.script = {A: [reply]}
    rig.campaign(1)
    rig.tick()
    rig.clock.shift(31)
    rig.recover()
    assert attempt().status == outcome


def test_while_the_carrier_cannot_tell_the_attempt_is_parked_with_its_channel_and_then_spent(rig):
    rig.carrier.script = {A: ["lost-after-ring", "completed"]}
    rig.carrier.replies_to_look_ups = False
    rig.campaign(1, retries=1)
    rig.tick()
    rig.clock.shift(look_ups.longest_call() - timedelta(seconds=1))
    rig.recover()
    assert attempt().status == "unknown"
    assert leases(rig.account) == 1
    rig.clock.shift(1)
    assert rig.recover().given_up == 1
    call = Call.objects.get()
    assert (call.status, call.attempts_made, call.last_outcome) == ("retrying", 1, "failed")
    assert leases(rig.account) == 0
    assert rig.rings() == [A]


def test_a_call_without_an_event_of_its_end_is_asked_for(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1)
    rig.tick()
    rig.clock.shift(61)
    assert rig.recover().adopted == 0
    assert attempt().status == "in-progress"
    over = Event(status="no-answer", carrier_ref=attempt().pk.hex, ended_at=timezone.now())
    monkeypatch.setattr(rig.carrier, "_look_up", lambda _: over)
    assert rig.recover().ended == 0, "it was asked for a moment ago"
    rig.clock.shift(61)
    assert rig.recover().ended == 1
    assert attempt().status == "no-answer"
    assert Campaign.objects.get().status == "completed"


def test_a_call_in_doubt_is_asked_for_before_those_that_are_up_and_merely_long(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"], B: ["lost-after-ring"]}
    rig.campaign([A])
    rig.tick()
    rig.clock.shift(120)
    rig.campaign([B])
    rig.tick()
    monkeypatch.setattr(look_ups, "MOST_LOOK_UPS", 1)
    [to_look_up] = look_ups.to_look_up(timezone.now()).values()
    [asked] = to_look_up.asked
    assert (asked.status, asked.call.number) == ("unknown", B)


def test_a_call_that_the_carrier_has_forgotten_is_spent(rig):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1, retries=1)
    rig.tick()
    rig.carrier.rings.clear()
    rig.clock.shift(61)
    assert rig.recover().ended == 1
    assert Call.objects.get().status == "retrying"


def test_a_call_beyond_its_longest_time_is_hung_up(rig):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1)
    rig.tick()
    rig.clock.shift(look_ups.longest_call() + timedelta(seconds=1))
    rig.recover()
    rig.settle()
    assert attempt().status == "completed"


def test_a_call_that_cannot_be_hung_up_is_given_up_all_the_same(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"]}
    monkeypatch.setattr(rig.carrier, "hang_up", lambda refs: None)
    campaign = rig.campaign(1)
    rig.tick()
    rig.clock.shift(look_ups.longest_call() + look_ups.HANG_UP_GRACE)
    rig.recover()
    assert attempt().status == "in-progress"
    rig.clock.shift(61)
    assert rig.recover().given_up == 1
    campaign.refresh_from_db()
    assert campaign.status == "completed"


def test_no_such_call_is_not_believed_while_another_attempt_at_the_number_is_under_way(rig):
    """Another account's call, found by number, may be this one's."""
    rig.carrier.script = {A: ["lost-before-ring"]}
    rig.campaign([A])
    rig.tick()
    neighbour = CallAttemptFactory(
        call__number=A, trunk=rig.trunk, in_progress=True, claimed_at=timezone.now(), heard_at=timezone.now()
    )
    rig.clock.shift(40)
    assert rig.recover().given_back == 0
    inbox.append("simulated", [(neighbour.pk, {"status": "busy"})])
    rig.settle()
    assert rig.recover().given_back == 1


def test_a_problem_of_one_trunk_does_not_stop_the_repairs_of_the_others(rig, monkeypatch):
    other = CallerIdFactory(account=rig.account, trunk=TrunkFactory(api_key="other"))
    rig.carrier.script = {A: ["lost-after-ring"]}
    monkeypatch.setattr(carrier_of(other.trunk), "script", {B: ["lost-after-ring"]})
    rig.campaign([A])
    rig.campaign([B], caller_id=other, caller_id_given=other.number)
    rig.tick()

    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(rig.carrier, "look_up", broken)
    rig.clock.shift(31)
    assert rig.recover().adopted == 1
    assert sorted(CallAttempt.objects.values_list("status", flat=True)) == ["in-progress", "unknown"]


def test_a_sweep_does_nothing_while_another_runs(rig):
    rig.campaign(1)
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.clock.shift(11)
    found = []

    def sweep():
        try:
            found.append(rig.recover().messages_resent)
        finally:
            connections.close_all()

    with sweep_lease.turn(timezone.now()) as first:
        assert first
        thread = threading.Thread(target=sweep)
        thread.start()
        thread.join()
    assert found == [0]
    assert rig.recover().messages_resent == 1


def test_a_leaked_lease_is_dropped_and_a_missing_one_taken_again(rig, redis):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1)
    rig.tick()
    keys = list(redis.scan_iter("channels:held:*"))
    assert len(keys) == 3
    for key in keys:
        redis.delete(key)
        redis.zadd(key, {"0" * 32: 9e15})
    repairs = rig.recover()
    assert (repairs.leaked, repairs.missing) == (1, 1)
    assert [redis.zrange(key, 0, -1) for key in keys] == [[attempt().pk.hex]] * 3


def test_two_sweeps_at_once_repair_an_attempt_once(rig, monkeypatch):
    rig.carrier.script = {A: ["lost-before-ring", "completed"]}
    rig.campaign(1)
    rig.tick()
    rig.clock.shift(31)
    loaded = look_ups.to_look_up(timezone.now())
    monkeypatch.setattr(look_ups, "to_look_up", lambda _: loaded)
    assert [rig.recover().given_back, rig.recover().given_back] == [1, 0]
    rig.tick()
    assert Call.objects.get().attempts_made == 1


def test_a_worker_that_comes_back_late_finds_nothing_to_do(rig):
    """Its batch was dialled by another in the meantime."""
    rig.carrier.script = {A: ["completed"], B: ["silent"]}
    rig.campaign([A, B])
    schedule.start_due(timezone.now())
    rig.dispatch()
    ids = list(CallAttempt.objects.values_list("id", flat=True))
    rig.dial()
    rig.clock.shift(11)
    dialing.dial(ids)
    assert sorted(rig.rings()) == [A, B]


def comes_up(attempt_id):
    inbox.append("simulated", [(attempt_id, {"status": "in-progress", "ref": attempt_id.hex})])
    inbox.settle_batch(timezone.now())


def test_a_call_that_came_up_before_its_reply_was_lost_is_not_rung_again(rig, monkeypatch):
    """Moved back to unknown, it was given back when the carrier's look-up did not find it: its phone rang twice."""
    rig.carrier.script = {A: ["lost-after-ring", "completed"]}
    place = rig.carrier.place

    def and_comes_up(requests):
        replies = place(requests)
        for request in requests:
            comes_up(request.attempt_id)
        return replies

    monkeypatch.setattr(rig.carrier, "place", and_comes_up)
    rig.campaign([A])
    rig.tick()
    assert attempt().status == "in-progress"
    monkeypatch.setattr(rig.carrier, "look_up", lambda placed: {each.attempt_id: NoSuchCall() for each in placed})
    for _ in range(8):
        rig.clock.shift(timedelta(seconds=10))
        rig.recover()
        rig.tick()
    assert rig.rings(A) == [A]


@pytest.mark.parametrize("reply", [NoSuchCall(), CantTell("?")])
def test_a_call_that_comes_up_while_the_carrier_is_asked_stays_up(rig, monkeypatch, reply):
    rig.campaign([A])
    die_while_placing(rig, monkeypatch, rung=True)

    def look_up(placed):
        for each in placed:
            comes_up(each.attempt_id)
        return {each.attempt_id: reply for each in placed}

    monkeypatch.setattr(rig.carrier, "look_up", look_up)
    rig.clock.shift(timedelta(seconds=60))
    rig.recover()
    assert attempt().status == "in-progress"


def test_a_driver_that_fails_leaves_no_attempt_under_way_for_ever(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign([A])
    rig.tick()
    monkeypatch.setattr(rig.carrier, "look_up", lambda placed: 1 / 0)
    rig.clock.shift(look_ups.longest_call() + timedelta(minutes=10))
    rig.recover()
    assert attempt().status == "failed"
