"""A gateway that stops takes no more calls, whatever its other threads have claimed by then."""

import queue
import threading
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from sipgateway.gateway import GatewayProcess


def test_a_call_that_was_claimed_as_the_gateway_stopped_is_given_back():
    process = object.__new__(GatewayProcess)  # without a socket and threads
    process._is_stopping, process._notes, process._calls = threading.Event(), queue.SimpleQueue(), {}
    process._is_stopping.set()
    plan: Any = SimpleNamespace(attempt_id=uuid4())
    process._start(plan)
    note: Any = process._notes.get_nowait()
    assert note.attempt_id == plan.attempt_id
    told = {name: note.columns[name] for name in ("status", "outcome", "code", "reason")}
    # Without a code: nothing that the trunk has done.
    assert told == {"status": "ended", "outcome": "canceled", "code": None, "reason": "the SIP gateway was stopped"}
    assert not process._calls
