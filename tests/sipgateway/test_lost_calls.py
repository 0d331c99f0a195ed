"""Calls of dead gateways: hung up by another one, and ended when nothing of them is up any more."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from dialer import inbox
from sipgateway import beats, records
from sipgateway.call_ends import LEAVES_WITHIN
from sipgateway.lost_calls import LostCalls
from tests.conftest import START
from tests.factories import TransferFactory
from tests.sipgateway.test_records import OVER_SIP, Status, call, gateway

pytestmark = pytest.mark.django_db


class Stack:
    """Sends nothing, and responds to a BYE when the test says so."""

    def __init__(self):
        self.left = {}

    def hang_up(self, call_id, dialog, on_left):
        assert call_id not in self.left, "a second BYE"
        self.left[call_id] = on_left


@pytest.fixture
def stack():
    return Stack()


@pytest.fixture
def sweep_of(clock, monkeypatch):
    """Returns a gateway that begins: what looks once, and returns the calls that ended."""
    monkeypatch.setattr("sipgateway.lost_calls.ED2.callFromThread", lambda act, *args: act(*args))

    def begin(stack):
        lost = LostCalls(stack)

        def look(at_work_since=START):
            notes = list(lost.notes(timezone.now(), at_work_since))
            records.store(notes)
            return [note.attempt_id for note in notes if "status" in note.columns]

        return look

    return begin


@pytest.fixture
def sweep(sweep_of, stack):
    return sweep_of(stack)


def talking(clock, **columns):
    now = timezone.now()
    return call(now, status=Status.TALKING, answered_at=now, dialog={"target": "sip:a"}, **columns).pk


def test_a_call_ends_with_the_response_to_its_bye(clock, stack, sweep):
    lost = talking(clock)
    assert sweep() == sweep() == []
    stack.left[lost.hex]()
    assert (sweep(), sweep()) == ([lost], [])


def test_a_call_ends_after_the_calls_that_it_was_connected_to_and_together_with_them(clock, stack, sweep):
    lost = talking(clock)
    leg = talking(clock, leg_of=lost)
    assert sweep() == []
    assert set(stack.left) == {lost.hex, leg.hex}
    stack.left[lost.hex]()
    assert sweep() == []
    stack.left[leg.hex]()
    assert (sweep(), sweep()) == ([leg, lost], [])


def test_a_leg_that_ends_in_the_same_look_counts_as_taken(clock, stack, sweep, redis):
    transfer = TransferFactory(**{f"attempt__{name}": value for name, value in OVER_SIP.items()})
    lost = talking(clock, attempt_id=transfer.attempt_id, is_taken=True)
    leg = talking(clock, attempt_id=transfer.pk, leg_of=lost)
    sweep()
    stack.left[lost.hex]()
    stack.left[leg.hex]()
    assert sweep() == [leg, lost]
    inbox.settle_batch(timezone.now())
    transfer.refresh_from_db()
    assert (transfer.attempt.status, transfer.outcome) == ("completed", "completed")


def test_a_call_does_not_wait_for_a_leg_that_ended_before(clock, stack, sweep):
    lost = talking(clock)
    now = timezone.now()
    call(now, status=Status.ENDED, outcome="busy", ended_at=now, leg_of=lost)
    sweep()
    stack.left[lost.hex]()
    assert sweep() == [lost]


def test_a_call_whose_leg_may_still_ring_waits_for_it(clock, stack, sweep):
    lost = talking(clock)
    leg = call(timezone.now(), status=Status.RINGING, leg_of=lost, ring_timeout=5).pk
    sweep()
    stack.left[lost.hex]()
    assert sweep() == []
    clock.shift(5 + 32 + 8)
    assert sweep() == [leg, lost]


def test_a_call_waits_for_a_leg_that_comes_too_late_in_the_order_for_this_look(clock, stack, sweep, monkeypatch):
    """As where more calls were lost than a look takes."""
    lost = talking(clock)
    leg = talking(clock, leg_of=lost)
    of_all = records.lost
    monkeypatch.setattr(
        records, "lost", lambda *args, **kwargs: [row for row in of_all(*args, **kwargs) if row.pk != leg]
    )
    sweep()
    stack.left[lost.hex]()
    assert sweep() == []


def test_a_bye_that_nobody_responds_to_is_not_waited_for_for_ever(clock, stack, sweep):
    lost = talking(clock)
    assert sweep() == []
    clock.shift(LEAVES_WITHIN)
    assert sweep() == []
    clock.shift(1)
    assert sweep() == [lost]


def test_the_time_for_a_response_goes_on_when_the_gateway_dies_that_sent_the_bye(clock, sweep_of):
    lost = talking(clock)
    for _ in range(7):
        assert sweep_of(Stack())() == []
        clock.shift(LEAVES_WITHIN / 6)
    stack = Stack()
    last = sweep_of(stack)
    # It sends its own BYE first, which the trunk may respond to: those before may not have left.
    assert (last(), list(stack.left), last()) == ([], [lost.hex], [lost])


def test_a_call_that_was_not_answered_needs_no_bye(clock, stack, sweep):
    row = call(timezone.now(), status=Status.RINGING, attempt_id=uuid4(), ring_timeout=5)
    clock.shift(5 + 32 + 8)
    assert (sweep(), stack.left) == ([row.pk], {})


@pytest.fixture
def silent(clock):
    """A call that somebody talks in, of a gateway that is dead by the times in the record."""
    now = timezone.now()
    gateway(now, at_work_since=now - timedelta(seconds=60))
    return talking(clock, gateway_id=gateway(now, beat_at=now - beats.DEAD_AFTER).pk)


def test_nobody_is_hung_up_before_the_gateway_itself_has_seen_that_no_beat_comes(silent, stack, sweep, uptime):
    sweep()
    uptime.seconds += 2
    sweep()
    assert not stack.left
    uptime.seconds += 1
    sweep()
    assert set(stack.left) == {silent.hex}


def test_a_gateway_that_was_away_looks_anew_whether_no_beat_comes(silent, stack, sweep, uptime):
    sweep()
    uptime.seconds += 20
    back = START + timedelta(seconds=20)
    sweep(back)
    uptime.seconds += 2
    sweep(back)
    assert not stack.left
    uptime.seconds += 1
    sweep(back)
    assert set(stack.left) == {silent.hex}
