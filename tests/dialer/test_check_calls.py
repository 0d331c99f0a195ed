"""A test call over a trunk: dialed like any other, and told step by step."""

import pytest

from campaigns.models import Campaign
from dialer import check_calls
from tests.conftest import NUMBERS
from tests.dialer.far_ends import News, Reply, TwilioFarEnd
from tests.factories import ACTOR, CallerIdFactory, TrunkFactory


@pytest.fixture
def far(client):
    with TwilioFarEnd.made(client) as far_end:
        yield far_end


@pytest.fixture
def trunk(rig, far):
    trunk = TrunkFactory(**far.trunk())
    CallerIdFactory(account=rig.account, trunk=trunk)
    return trunk


def steps(rig, trunk, answer=lambda: None, number=NUMBERS[0], **options):
    """Make the call; each look of its is a second in which the far end does something."""

    def wait():
        rig.later(seconds=1)
        answer()
        rig.settle()

    made = check_calls.call(trunk, number, flow_url="", actor=ACTOR, wait=wait, **options)
    return {step.name: (step.is_good, step.said) for step in made}


def test_a_call_that_is_answered_passes_every_step(rig, far, trunk):
    def answer():
        if far.calls and not far.calls[0].is_hung_up:
            [call] = far.calls
            far.press(call, "5")
            far.tell(call, News.COMPLETED)
            far.end(call, News.COMPLETED)
            call.is_hung_up = True

    seen = steps(rig, trunk, answer)
    assert [name for name, (is_good, _) in seen.items() if is_good] == [
        "call",
        "taken",
        "events",
        "keys",
        "look-up",
    ]
    assert seen["keys"] == (True, "pressed: 5")
    assert seen["events"][1] == "its end was told: completed, 7 s of conversation"
    assert len(far.calls) == 1
    assert Campaign.objects.get().status == "completed"


def test_a_carrier_that_refuses_is_told_in_its_words(rig, far, trunk):
    far.reply = Reply.ACCOUNT_REFUSED
    seen = steps(rig, trunk)
    assert seen["taken"] == (False, "HTTP 403: error 21216: Account not allowed to call")
    assert (len(far.calls), Campaign.objects.get().is_open) == (0, False)


def test_events_that_never_come_are_told_and_the_number_is_called_once(rig, far, trunk):
    seen = steps(rig, trunk)
    assert seen["events"] == (False, "no event has told of its end: does the carrier reach EVENTS_URL?")
    assert len(far.calls) == 1
    assert not Campaign.objects.get().is_open


def test_a_gate_that_is_shut_is_told_in_the_words_of_the_diagnosis(rig, far, trunk):
    rig.account.is_active = False
    rig.account.save()
    seen = steps(rig, trunk)
    assert seen["dialed"][1].startswith(f"nobody dialed it: the account {rig.account.sid} is inactive")
    assert far.calls == []


@pytest.mark.parametrize("number", ["12", "nobody"])
def test_what_is_no_number_is_refused(rig, trunk, number):
    assert not steps(rig, trunk, number=number)["call"][0]
    assert not Campaign.objects.exists()


def test_a_trunk_without_a_caller_id_can_t_be_called_over(rig):
    assert steps(rig, TrunkFactory())["call"] == (False, "no active caller ID calls over it now")
