"""The inbox keeps events in their order, and word for word."""

from typing import Any
from uuid import uuid4

import pytest

from dialer import inbox
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
