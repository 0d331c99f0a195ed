"""The carrier inside the process, where it must not grow with what it has dialed."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from dialer.carriers import simulated
from dialer.carriers.base import Accepted, CallRequest
from dialer.carriers.simulated import SimulatedCarrier


def request(number: str) -> CallRequest:
    columns: Any = dict.fromkeys(["caller_id", "flow_id", "flow_url", "custom_field", "callback_url"], "")
    later = timezone.now() + timedelta(minutes=1)
    return CallRequest(uuid4(), number, ring_timeout=45, max_seconds=60, ask_before=later, **columns)


def outcome(carrier: SimulatedCarrier, number: str) -> str:
    (reply,) = carrier.place([request(number)]).values()
    assert isinstance(reply, Accepted)
    return str(reply.events[0]["status"])


def test_only_the_last_calls_are_remembered_and_scripts_go_on(monkeypatch):
    monkeypatch.setattr(simulated, "REMEMBERED", 3)
    carrier = SimulatedCarrier()
    carrier.script["+1"] = ["busy", "no-answer", "completed"]
    assert outcome(carrier, "+1") == "busy"
    for number in range(20):
        assert outcome(carrier, f"+2{number}") == "completed"
    assert len(carrier.rings) <= 6
    assert len(carrier._asked) <= 7
    assert [ring.number for ring in carrier.rings][-2:] == ["+218", "+219"]
    assert outcome(carrier, "+1") == "no-answer"
