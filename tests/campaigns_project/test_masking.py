"""Numbers that carriers and the database mention are masked in logs."""

import pytest

from campaigns_project.masking import mask_numbers


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("Call to +919810012345 refused", "Call to +91981*****45 refused"),
        ("Failing row contains (7, 919810012345, busy)", "Failing row contains (7, 919810****45, busy)"),
        ("HTTP 503: Service Unavailable; 35008", "HTTP 503: Service Unavailable; 35008"),
        ("attempt 01a20ea2ff9770eea9db98ab080d72d1", "attempt 01a20ea2ff9770eea9db98ab080d72d1"),
    ],
)
def test_numbers_are_masked_and_ids_are_not(text, logged):
    for field in ("reason", "error", "exception", "event"):
        assert mask_numbers(None, "info", {field: text})[field] == logged


def test_our_own_fields_are_left_alone():
    assert mask_numbers(None, "info", {"calls": 12345678, "account": "98100123"}) == {
        "calls": 12345678,
        "account": "98100123",
    }
