"""A token opens the address that it was made for, and no other."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core import signed_addresses


@pytest.mark.parametrize("make", [signed_addresses.token, signed_addresses.dated_token])
def test_a_token_fits_its_purpose_and_subject_alone(make):
    def opens(purpose, subject):
        if make is signed_addresses.token:
            return signed_addresses.is_token(given, purpose, subject)
        return signed_addresses.is_dated_token(given, purpose, subject, max_age=60)

    given = make("events", "a1")
    assert opens("events", "a1")
    assert not opens("events", "a2")
    assert not opens("flows", "a1")
    assert not opens("events", "")


@pytest.mark.parametrize("given", ["", ":", "a1", "a1:", "x" * 500, "é", "\0"])
def test_what_is_no_token_opens_nothing(given):
    assert not signed_addresses.is_token(given, "events", "a1")
    assert not signed_addresses.is_dated_token(given, "events", "a1", max_age=60)


def test_a_token_without_a_date_is_always_the_same():
    assert signed_addresses.token("flows", "7") == signed_addresses.token("flows", "7")


def test_a_dated_token_expires():
    given = signed_addresses.dated_token("reports", "a1")
    assert signed_addresses.is_dated_token(given, "reports", "a1", max_age=60)
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert not signed_addresses.is_dated_token(given, "reports", "a1", max_age=60)


def test_another_key_makes_another_token(settings):
    given = signed_addresses.token("events", "a1")
    settings.SECRET_KEY = "another"
    assert not signed_addresses.is_token(given, "events", "a1")
