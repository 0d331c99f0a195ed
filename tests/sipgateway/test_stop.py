"""A gateway that stops takes no more calls, whatever its other threads have claimed by then."""

import threading
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from sipgateway.calls_up import CallsUp


def test_a_call_that_was_claimed_as_the_gateway_stopped_is_given_back():
    notes: list[Any] = []
    means: Any = SimpleNamespace(stack=None, is_stopping=threading.Event(), writer=SimpleNamespace(note=notes.append))
    calls = CallsUp(means)
    means.is_stopping.set()
    plan: Any = SimpleNamespace(attempt_id=uuid4())
    calls.start(plan)
    [note] = notes
    assert note.attempt_id == plan.attempt_id
    told = {name: note.columns[name] for name in ("status", "outcome", "code", "reason")}
    # Without a code: nothing that the trunk has done.
    assert told == {"status": "ended", "outcome": "canceled", "code": None, "reason": "the SIP gateway was stopped"}
    assert len(calls) == 0
