"""The events process ends itself when its loop or its writer stands still, and only then."""

import pytest

from campaigns_project import events

NOW = 1000.0


@pytest.mark.parametrize(
    ("turned", "storing", "what"),
    [
        (1, None, ""),
        (events.MAX_STANDSTILL, events.MAX_BATCH_SECONDS, ""),
        (events.MAX_STANDSTILL + 1, None, "the event loop, for 31 s"),
        (1, events.MAX_BATCH_SECONDS + 1, "a batch of events, for 61 s"),
    ],
)
def test_what_stands_still_is_named(turned, storing, what):
    assert events.standstill(NOW, NOW - turned, None if storing is None else NOW - storing) == what
