"""Numbers that an account must not call are never dialed, whatever was allowed when they came in."""

import pytest

from campaigns.models import Call
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, states
from tests.factories import CallerIdFactory

A = NUMBERS[0]
ABROAD = "+4915112345678"
PREMIUM = "+911861123456789"


@pytest.fixture
def campaign(rig):
    return rig.campaign([ABROAD, A, PREMIUM], retries=2)


def test_they_end_without_an_attempt_and_say_why(rig, campaign):
    rig.tick()
    rig.later(minutes=11)
    assert rig.rings() == [A]
    assert states(campaign) == {ABROAD: "failed", A: "completed", PREMIUM: "failed"}
    reasons = dict(Call.objects.values_list("number", "end_reason"))
    assert reasons[ABROAD] == "it is a number of DE, and this account calls IN only"
    assert reasons[PREMIUM].startswith("it is a premium-rate number")
    assert set(Call.objects.exclude(number=A).values_list("attempts_made", "was_placed")) == {(0, False)}
    given_back = CallAttempt.objects.filter(callee=ABROAD).values_list("status", "placing_at")
    assert list(given_back) == [("canceled", None)]


def test_the_settings_of_the_moment_count(rig, campaign):
    rig.account.allowed_countries = ["DE"]
    rig.account.allowed_kinds = ["mobile", "premium-rate"]
    rig.account.save()
    rig.tick()
    assert rig.rings() == [ABROAD]


def test_the_countries_of_all_caller_ids_count_not_only_the_campaigns(rig, campaign):
    CallerIdFactory(account=rig.account, number="+4930123456")
    rig.tick()
    assert sorted(rig.rings()) == [ABROAD, A]


def test_a_retry_is_refused_that_was_allowed_at_the_first_attempt(rig):
    rig.carrier.script[A] = ["busy"]
    campaign = rig.campaign([A], retries=2)
    rig.tick()
    rig.account.allowed_countries = ["DE"]
    rig.account.save()
    rig.later(minutes=11)
    assert rig.rings() == [A]
    assert states(campaign) == {A: "failed"}
    assert Call.objects.get().end_reason == "it is a number of IN, and this account calls DE only"
