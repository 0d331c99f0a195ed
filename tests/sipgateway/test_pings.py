"""OPTIONS to each trunk: one that does not respond rests before a call is lost on it, and is up again when it does."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import CallerId, Trunk
from dialer import trunk_health
from dialer.models import TrunkHealth
from sipgateway import pings
from sipgateway.names import Names
from sipgateway.pings import NONE_CAME, Pings
from tests.factories import CallerIdFactory, TrunkFactory

pytestmark = pytest.mark.django_db


class Stack:
    """Sends nothing, and responds with the code that the test says: None for a response that is on its way."""

    def __init__(self) -> None:
        self.code: int | None = 200
        self.asked: list[tuple[str, int, str]] = []

    def ping(self, host: str, port: int, domain: str, on_response: Any) -> None:
        self.asked.append((host, port, domain))
        if self.code is not None:
            on_response(100)
            on_response(self.code)


@pytest.fixture
def stack(monkeypatch):
    monkeypatch.setattr("sipgateway.pings.ED2.callFromThread", lambda act, *args: act(*args))
    return Stack()


@pytest.fixture
def trunk():
    trunk = TrunkFactory(carrier="sip", base_url="sip:203.0.113.7:5070;domain=trunk.example")
    CallerIdFactory(trunk=trunk)
    return trunk


@pytest.fixture
def ping(stack):
    """Ping all trunks once, and get this response."""
    made = Pings(stack, Names(), lambda act: act())

    def send(code=None):
        stack.code = code
        made.send(pings.trunks())

    return send


def is_resting(trunk):
    return TrunkHealth.objects.filter(trunk=trunk, failures__gt=0).exists()


def test_a_trunk_is_asked_at_its_address_by_its_domain(trunk, stack, ping):
    ping(200)
    assert stack.asked == [("203.0.113.7", 5070, "trunk.example")]
    assert not is_resting(trunk)


def test_a_trunk_that_is_silent_twice_rests_and_any_response_ends_that(trunk, ping):
    ping(NONE_CAME)
    assert not is_resting(trunk)
    ping(NONE_CAME)
    assert is_resting(trunk)
    assert TrunkHealth.objects.get().last_error == "no response from the trunk to OPTIONS"
    ping(403)
    assert not is_resting(trunk)


def test_a_ping_that_is_lost_now_and_then_says_nothing(trunk, ping):
    for code in (NONE_CAME, 200, NONE_CAME, 200, NONE_CAME):
        ping(code)
    assert not is_resting(trunk)


def test_a_trunk_that_rests_for_a_silent_call_is_up_with_a_response_and_one_that_refuses_us_is_not(trunk, ping):
    for error, rests in (("no response from the trunk within 8 s", False), ("401 Unauthorized", True)):
        trunk_health.took_no_call(trunk.pk, error, timezone.now())
        ping(200)
        assert is_resting(trunk) is rests


def test_only_sip_trunks_that_calls_may_leave_over_are_asked(trunk, stack, ping):
    CallerIdFactory(trunk=TrunkFactory())
    TrunkFactory(carrier="sip", base_url="sip:203.0.113.8")  # without a caller ID
    broken = CallerIdFactory(trunk=TrunkFactory(carrier="sip", base_url="sip:203.0.113.9")).trunk
    Trunk.objects.filter(pk=broken.pk).update(base_url="nothing")
    ping(200)
    assert [host for host, *_ in stack.asked] == ["203.0.113.7"]
    CallerId.objects.update(is_active=False)
    ping(200)
    assert len(stack.asked) == 1
