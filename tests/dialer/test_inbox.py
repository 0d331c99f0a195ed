"""The inbox keeps events in their order, and word for word; workers settle it beside each other."""

from typing import Any
from uuid import uuid4

import pytest

from core import task_queue
from dialer import inbox, messages
from dialer.inbox import Incoming
from dialer.models import CarrierEvent

PAYLOADS: list[dict[str, Any]] = [
    {"Status": "completed", "quotes": "\"'", "slashes": "\\ \\\\ \\n", "lines": "a\nb\tc", "letters": "ü ह ☎"},
    {"Legs": [{"OnCallDuration": 12}, None, True, 1.5], "braces": "{},[]%s%%", "null": None, "long": 2**70},
    {},
]


@pytest.mark.django_db
def test_events_are_stored_in_their_order_and_as_they_came():
    events = [Incoming("exotel", uuid4(), {**payload, "n": n}) for n in range(4) for payload in PAYLOADS]
    inbox.store(events)
    stored = CarrierEvent.objects.order_by("pk")
    assert [Incoming(row.carrier, row.attempt_id, row.payload or {}) for row in stored] == events
    assert {(row.handled_at, row.error) for row in stored} == {(None, "")}


def test_a_worker_beside_another_is_asked_for_once_in_a_while(redis, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(task_queue, "enqueue", lambda task, **_: sent.append(task))

    def look() -> None:
        for _ in range(3):
            messages.enqueue_settle_beside()

    messages.settle_at_work(look)
    assert sent == ["dialer.settle"]
    assert 0 < redis.pttl("enqueued:settle-beside") <= messages.BESIDE_MS
