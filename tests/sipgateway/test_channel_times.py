"""How long a call keeps its channel where the trunk stands still, by timers and a stack that are told what happens."""

from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from core import clocks
from sipgateway import outbound_calls
from sipgateway.outbound_calls import OutboundCall
from sipgateway.plans import Plan
from sipgateway.trunk_addresses import TrunkAddress


class ToldTimers(dict):
    """What runs out by name: for how long it was started, each time, and what it does."""

    def start(self, name, seconds, act, *args):
        lengths = self[name].lengths if name in self else []
        self[name] = SimpleNamespace(lengths=[*lengths, seconds], run_out=lambda: act(*args))

    def stop(self, name):
        self.pop(name, None)

    stop_all = dict.clear


class ToldStack:
    """Stands for sippy's end of the call."""

    def __init__(self, settings, *, on_response, **_):
        self.responds = on_response

    def recvEvent(self, event):  # noqa: N802 -- sippy's name
        pass

    def stop_retransmitting(self):
        pass

    def disconnect(self):
        pass


@pytest.fixture
def call(monkeypatch):
    timers, stacks = ToldTimers(), []

    def stack_of(*arguments, **options):
        stacks.append(ToldStack(*arguments, **options))
        return stacks[-1]

    monkeypatch.setattr(outbound_calls, "Timers", lambda: timers)
    monkeypatch.setattr(outbound_calls, "TrunkCall", stack_of)
    notes = []
    gateway = SimpleNamespace(
        stack=SimpleNamespace(settings={}, public_host="127.0.0.1"),
        converse=lambda call: SimpleNamespace(port=9, close=lambda: None),
        note=lambda note: notes.append(note.columns),
        trunk_is_silent=lambda trunk_id, reason: None,
        is_over=lambda call: None,
    )
    plan = Plan(
        attempt_id=uuid4(),
        number="+919810000000",
        caller_id="+918047112233",
        ring_timeout=20,
        max_seconds=60,
        ask_before=clocks.last_known_now() + timedelta(hours=1),
        account_id=1,
        trunk_id=1,
        address=TrunkAddress("127.0.0.1"),
        credentials=None,
        document={},
        ip="127.0.0.1",
    )
    OutboundCall(plan, gateway).start()
    return SimpleNamespace(timers=timers, stack=stacks[0], notes=notes)


def test_a_silent_trunk_that_rings_after_all_has_as_long_to_end_the_call_as_any_other(call):
    call.timers["silence"].run_out()
    assert call.timers["cancel"].lengths == [outbound_calls.SILENT_FOR]
    for code in (100, 180):
        call.stack.responds(code, False, True)
    assert call.timers["cancel"].lengths == [outbound_calls.SILENT_FOR, outbound_calls.CANCELS_WITHIN]
    assert [note.get("outcome") for note in call.notes] == [None], "its channel is not free"
    call.timers["cancel"].run_out()
    assert (call.notes[-1]["outcome"], call.notes[-1]["reason"]) == outbound_calls.RESPONDED_LATE


def test_a_silent_trunk_gives_the_call_back_once_no_response_can_come_any_more(call):
    call.timers["silence"].run_out()
    call.timers["cancel"].run_out()
    assert call.notes[-1]["outcome"] == "canceled"
