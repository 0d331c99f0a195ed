"""Numbers and secrets that carriers, the database and libraries mention are masked in logs."""

import pytest

from campaigns_project.masking import mask_event


def logged(text: object, field: str = "error") -> object:
    return mask_event(None, "info", {field: text})[field]


@pytest.mark.parametrize(
    ("text", "as_logged"),
    [
        ("Call to +919810012345 refused", "Call to +91981*****45 refused"),
        ("Failing row contains (7, 919810012345, busy)", "Failing row contains (7, 919810****45, busy)"),
        ("no route to 09810012345", "no route to 098100***45"),
        ("From=%2B919810012345", "From=%2B919*******45"),
        ("sip:+919810012345@carrier", "sip:+91981*****45@carrier"),
        ("call +91 98100 12345 again", "call +91 98*******45 again"),
        ("call 098100-12345 again", "call 098100****45 again"),
        ("call (080) 4711 3311 again", "call (080) *******11 again"),
        ("HTTP 503: Service Unavailable; 35008", "HTTP 503: Service Unavailable; 35008"),
        ("attempt 01a20ea2ff9770eea9db98ab080d72d1", "attempt 01a20ea2ff9770eea9db98ab080d72d1"),
        ("until 2026-03-02 21:00:00+05:30", "until 2026-03-02 21:00:00+05:30"),
        ("took 0.123456789 s", "took 0.123456789 s"),
    ],
)
def test_numbers_are_masked_and_ids_are_not(text, as_logged):
    for field in ("reason", "error", "exception", "event", "anything"):
        assert logged(text, field) == as_logged


@pytest.mark.parametrize(
    ("text", "as_logged"),
    [
        ("GET http://h/carrier-events/x/1?token=abc failed", "GET http://h/carrier-events/x/1?••• failed"),
        ("url=URL('http://h/a?From=x&api_key=abc')", "url=URL('http://h/a?•••')"),
        ("/reports/1.csv?signature=a:b:c", "/reports/1.csv?•••"),
        ("redis://:hunter2@cache:6379/0 is away", "redis://•••@cache:6379/0 is away"),
        ("headers {'Authorization': 'Basic a2V5OnQ='}", "headers {'Authorization': 'Basic •••'}"),
        ("Bearer abc.def", "Bearer •••"),
        ("signed with whsec_AbC/d+e=", "signed with whsec_•••"),
        ("password=hunter2, user=me", "password=•••, user=me"),
        ("no key has the digest of 3q2-7wAbCdEfGhIjKlMnOpQrStUvWxYz0123456789_", "no key has the digest of •••"),
        (f"{'0f' * 32} is not its token", "••• is not its token"),
        (
            'constraint "call_has_at_most_one_unfinished_attempt"',
            'constraint "call_has_at_most_one_unfinished_attempt"',
        ),
        ("the API token can't be read: enter it again", "the API token can't be read: enter it again"),
        ("is it there? yes", "is it there? yes"),
    ],
)
def test_secrets_are_hidden(text, as_logged):
    assert logged(text) == as_logged


def test_what_is_inside_of_lists_dictionaries_and_exceptions_is_masked():
    assert logged(["+919810012345"]) == ["+91981*****45"]
    assert logged({"a": ("+919810012345", 1)}) == {"a": ["+91981*****45", 1]}
    assert logged(ValueError("+919810012345")) == "ValueError('+91981*****45')"


def test_our_own_fields_are_left_alone():
    ours = {"calls": 12345678, "account": "98100123", "timestamp": "2026-03-02T06:00:00.12345678Z"}
    assert mask_event(None, "info", dict(ours)) == ours
