"""A campaign over a carrier that lets half of the calls wait: nobody is rung after a pause, and nobody is forgotten."""

from datetime import timedelta

import pytest

from campaigns import lifecycle
from dialer.models import CallAttempt
from tests.factories import ACTOR, CallerIdFactory, FlowFactory, TrunkFactory
from tests.sandbox.conftest import until

NUMBERS = 24


@pytest.fixture
def campaign(rig, sandbox):
    account = {"account_sid": "acme1", "api_key": "acme1", "api_token": "token"}
    trunk = TrunkFactory(carrier="twilio", base_url=sandbox.url, **account)
    line = CallerIdFactory(account=rig.account, trunk=trunk)
    return rig.campaign(NUMBERS, caller_id=line, flow=FlowFactory(account=rig.account))


def catch_up(rig, sandbox):
    """Let calls end, and ask the carrier for all of them."""
    until(lambda: sandbox.totals()["live"] == 0)
    rig.clock.shift(timedelta(seconds=61))
    rig.recover()
    rig.settle()


def attempts(*statuses):
    return CallAttempt.objects.filter(status__in=statuses)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_waits_at_a_pause_is_taken_back_and_rung_once_after_the_resume(rig, sandbox, campaign, seed):
    queue = {"name": "queue-calls", "seconds": 360_000, "rate": 0.5}
    sandbox.put_script(seed=seed, faults=[queue], default=[{"outcome": "completed", "ring": 1, "talk": 1}])
    rig.tick()
    waiting = NUMBERS - len(sandbox.rings())
    assert 0 < waiting < NUMBERS
    lifecycle.pause(campaign, actor=ACTOR)
    # The carrier's clock is the test's, which stands still: each ask comes when the one before is old.
    for _ in range(2):
        catch_up(rig, sandbox)
    assert attempts("canceled").count() == waiting
    assert attempts("completed").count() == len(sandbox.rings()) == NUMBERS - waiting
    sandbox.put_script(seed=seed, default=[{"outcome": "completed", "ring": 1, "talk": 1}])
    lifecycle.resume(campaign, actor=ACTOR)
    rig.tick()
    for _ in range(2):
        catch_up(rig, sandbox)
    rung = [ring["number"] for ring in sandbox.rings()]
    assert (len(rung), len(set(rung))) == (NUMBERS, NUMBERS)
    assert attempts("completed").count() == NUMBERS
