"""Calls of dead gateways: hung up by another one, and ended when nothing of them is up any more."""

from uuid import uuid4

import pytest
from django.utils import timezone

from sipgateway import lost_calls, records
from sipgateway.lost_calls import LostCalls
from tests.sipgateway.test_records import Status, call

pytestmark = pytest.mark.django_db


class Stack:
    """Sends nothing, and responds to a BYE when the test says so."""

    def __init__(self):
        self.left = {}

    def hang_up(self, call_id, dialog, on_left):
        assert call_id not in self.left, "a second BYE"
        self.left[call_id] = on_left


@pytest.fixture
def stack(monkeypatch):
    monkeypatch.setattr("sipgateway.lost_calls.ED2.callFromThread", lambda act, *args: act(*args))
    return Stack()


@pytest.fixture
def sweep(clock, stack):
    """Looks once. Returns the calls that ended."""
    lost = LostCalls(stack)

    def look():
        ends = list(lost.ends(timezone.now()))
        records.store(ends)
        return [note.attempt_id for note in ends]

    return look


def talking(clock, **columns):
    now = timezone.now()
    return call(now, status=Status.TALKING, answered_at=now, dialog={"target": "sip:a"}, **columns).pk


def test_a_call_ends_with_the_response_to_its_bye(clock, stack, sweep):
    lost = talking(clock)
    assert sweep() == sweep() == []
    stack.left[lost.hex]()
    assert (sweep(), sweep()) == ([lost], [])


def test_a_call_ends_after_the_calls_that_it_was_connected_to(clock, stack, sweep):
    lost = talking(clock)
    leg = talking(clock, leg_of=lost)
    assert sweep() == []
    assert set(stack.left) == {lost.hex, leg.hex}
    stack.left[lost.hex]()
    assert sweep() == []
    stack.left[leg.hex]()
    assert (sweep(), sweep()) == ([leg], [lost])


def test_a_bye_that_nobody_responds_to_is_not_waited_for_for_ever(clock, stack, sweep, monkeypatch):
    lost = talking(clock)
    assert sweep() == []
    monkeypatch.setattr(lost_calls, "LEAVES_WITHIN", -1.0)
    assert sweep() == [lost]


def test_a_call_that_was_not_answered_needs_no_bye(clock, stack, sweep):
    row = call(timezone.now(), status=Status.RINGING, attempt_id=uuid4(), ring_timeout=5)
    clock.shift(5 + 32 + 8)
    assert (sweep(), stack.left) == ([row.pk], {})
