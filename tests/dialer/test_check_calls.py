"""A test call over a trunk: dialed like any other, and told step by step."""

from datetime import timedelta

import pytest

from accounts.audit_entry import AuditEntry
from campaigns.flow_schema import validate_flow
from campaigns.models import Campaign, Flow
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


@pytest.mark.parametrize(
    ("presses", "is_deaf", "said"),
    [
        (True, False, "the call ended when this server hung up"),
        (False, False, "the call ended when this server hung up"),
        (True, True, "the call was up 15 s after it was to be hung up"),
    ],
)
def test_a_conversation_is_hung_up_by_this_server(rig, far, trunk, monkeypatch, presses, is_deaf, said):
    monkeypatch.setattr(check_calls, "NEWS_WITHIN", timedelta(seconds=4))
    monkeypatch.setattr(check_calls, "PRESSED_WITHIN", timedelta(seconds=3))
    done: list[str] = []

    def answer():
        if not far.calls:
            return
        [call] = far.calls
        if not done:
            done.append("answered")
            far.tell(call, News.ANSWERED)
            if presses:
                far.press(call, "5")
        elif call.is_hung_up and not is_deaf and len(done) == 1:
            done.append("ended")
            far.tell(call, News.COMPLETED)

    seen = steps(rig, trunk, answer)
    assert far.calls[0].is_hung_up
    assert seen["hang-up"] == (not is_deaf, said)
    assert seen["events"][0] is not is_deaf
    assert ("keys" in seen and seen["keys"][0]) is (presses and not is_deaf)


def test_the_flow_of_test_calls_is_made_once_and_brought_up_to_date(rig, far, trunk, monkeypatch):
    monkeypatch.setattr(check_calls, "NEWS_WITHIN", timedelta(seconds=1))
    steps(rig, trunk)
    flow = Flow.objects.get(account=rig.account, flow_id=check_calls.FLOW_ID)
    validate_flow(flow.document)
    assert AuditEntry.objects.filter(verb="created", object_name=check_calls.FLOW_ID).count() == 1
    Flow.objects.filter(pk=flow.pk).update(document={"steps": [{"say": "Old"}]})
    steps(rig, trunk, number=NUMBERS[1])
    flow.refresh_from_db()
    assert flow.document == check_calls.FLOW


def test_over_a_carrier_that_runs_its_own_flows_one_of_them_is_asked_for(rig):
    trunk = TrunkFactory(exotel=True)
    CallerIdFactory(account=rig.account, trunk=trunk)
    said = "calls over this trunk run flows of the carrier's own account: name one by --flow-url"
    assert steps(rig, trunk)["call"] == (False, said)
    assert not Campaign.objects.exists()


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
