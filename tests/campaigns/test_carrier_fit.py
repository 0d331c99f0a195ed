"""What a carrier can't do is refused when it is asked for, not call by call."""

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts import carriers
from accounts.models import CallerId, Route
from campaigns import carrier_fit, lifecycle
from campaigns.models import Campaign, Flow
from core.errors import InvalidRequest, WrongState
from tests.conftest import START
from tests.factories import ACTOR, CallerIdFactory, FlowFactory, TrunkFactory

LONGEST = 128
LATER = {"send_at": START + timedelta(hours=1)}


@pytest.fixture
def over_exotel(rig):
    return CallerIdFactory(account=rig.account, trunk=TrunkFactory(exotel=True))


def text(**columns):
    return {"flow": None, "flow_url": "", "text": "Hello", "flow_type": "greeting", **columns}


def test_a_text_is_refused_where_the_carrier_runs_its_own_flows(rig, over_exotel):
    with pytest.raises(InvalidRequest, match=r"'read_via_text': .*flows of the carrier's own account only: give url"):
        rig.campaign(caller_id=over_exotel, **text())
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(("length", "is_taken"), [(LONGEST, True), (LONGEST + 1, False)])
def test_a_custom_field_is_as_long_as_the_carrier_takes(rig, over_exotel, length, is_taken):
    if is_taken:
        assert rig.campaign(caller_id=over_exotel, custom_field="x" * length).pk
        return
    with pytest.raises(InvalidRequest, match=r"'custom_field': it has 129 characters, .* takes 128: shorten it"):
        rig.campaign(caller_id=over_exotel, custom_field="x" * length)
    assert not Campaign.objects.exists()


@pytest.mark.parametrize("change", [{"custom_field": "x" * 129}, text()])
def test_a_change_that_the_carrier_can_t_do_changes_nothing(rig, over_exotel, change):
    campaign = rig.campaign(**LATER, custom_field="short", caller_id=over_exotel)
    with pytest.raises(InvalidRequest):
        lifecycle.change(campaign, now=START, actor=ACTOR, **change)
    stored = Campaign.objects.get()
    assert (stored.text, stored.custom_field.value) == ("", "short")


def test_a_campaign_is_not_moved_to_a_carrier_that_can_t_call_for_it(rig, over_exotel):
    campaign = rig.campaign(**LATER, custom_field="x" * 129)
    with pytest.raises(InvalidRequest, match=r"'custom_field': it has 129 characters"):
        lifecycle.change(campaign, now=START, caller_id=over_exotel, actor=ACTOR)
    assert Campaign.objects.get().caller_id_id == rig.caller_id.pk


def test_a_campaign_whose_caller_id_has_moved_is_not_resumed(rig, over_exotel):
    campaign = lifecycle.pause(rig.campaign(**text()), actor=ACTOR)
    CallerId.objects.filter(pk=rig.caller_id.pk).update(trunk=over_exotel.trunk)
    with pytest.raises(WrongState, match=r"can't resume this campaign: read_via_text: .*own account only"):
        lifecycle.resume(campaign, actor=ACTOR)


def test_an_open_campaign_keeps_its_caller_id_from_moving_to_a_carrier_that_can_t_call_for_it(rig):
    exotel, every = carriers.get("exotel"), Campaign.objects.all()
    campaign = rig.campaign(**LATER, name="fees", **text())
    assert carrier_fit.obstacle(every, exotel) == (
        "the campaign fees reads a text, and Exotel (v1 connect) runs flows of its own account only"
    )
    assert carrier_fit.obstacle(every, carriers.get("sandbox")) == ""
    lifecycle.delete(campaign, actor=ACTOR)
    assert carrier_fit.obstacle(every, exotel) == ""
    rig.campaign(**LATER, name="exams", custom_field="x" * 129)
    assert carrier_fit.obstacle(every, exotel) == "the campaign exams has a custom field of more than 128 characters"


BASE_URLS = {
    "signalwire": "https://a.signalwire.com",
    "twilio": "https://a.example",
    "telnyx": "https://b.example",
    "sip": "sip:trunk.example",
}
CONNECT = {"gather": {"branches": {"1": [{"connect": "+918012345678"}]}}}


def test_a_flow_is_refused_where_the_carrier_lacks_one_of_its_steps(rig, monkeypatch):
    lacking = replace(carriers.get("sip"), lacks=frozenset({"connect"}))
    monkeypatch.setitem(carriers._kinds, "sip", lacking)
    over_sip = CallerIdFactory(account=rig.account, trunk=TrunkFactory(carrier="sip", base_url="sip:trunk.example"))
    connecting = FlowFactory(account=rig.account, document={"steps": [CONNECT]})
    with pytest.raises(InvalidRequest, match=r"'url': its flow has the step connect, .* can't do: give another flow"):
        rig.campaign(caller_id=over_sip, flow=connecting)
    assert not Campaign.objects.exists()
    assert rig.campaign(caller_id=over_sip, **LATER).pk
    every = Campaign.objects.all()
    assert carrier_fit.obstacle(every, lacking) == ""
    rig.campaign(flow=connecting, **LATER)
    assert "has the step connect, which SIP trunk can't do" in carrier_fit.obstacle(every, lacking)


LONG = {"steps": [{"say": "x" * 4000}] * 12}


def line_over(rig, carrier):
    trunk = TrunkFactory(carrier=carrier, base_url=BASE_URLS[carrier], account_sid="AC1", api_key="AC1")
    return CallerIdFactory(account=rig.account, trunk=trunk)


@pytest.mark.parametrize(("carrier", "is_taken"), [("twilio", False), ("signalwire", False), ("sip", True)])
def test_a_flow_says_no_more_in_one_go_than_the_carrier_reads_at_once(rig, carrier, is_taken):
    line, flow = line_over(rig, carrier), FlowFactory(account=rig.account, document=LONG)
    if is_taken:
        assert rig.campaign(caller_id=line, flow=flow, **LATER).pk
        every = Campaign.objects.all()
        assert "says 50,400 bytes without a question" in carrier_fit.obstacle(every, carriers.get("twilio"))
        return
    with pytest.raises(
        InvalidRequest, match=r"'url': its flow says 50,400 bytes without a question \(at most 50,000\)"
    ):
        rig.campaign(caller_id=line, flow=flow)
    question = {"gather": {"branches": {"1": [{"hangup": True}]}}}
    flow.document = {"steps": [*LONG["steps"][:6], question, *LONG["steps"][6:]]}
    flow.save()
    assert rig.campaign(caller_id=line, flow=flow, **LATER).pk


def test_a_flow_of_an_open_campaign_does_not_get_what_its_carriers_can_t_do(rig):
    flow = FlowFactory(account=rig.account, document={"steps": [{"say": "Hello"}]})
    campaign = rig.campaign(caller_id=line_over(rig, "signalwire"), flow=flow, **LATER)
    assert carrier_fit.obstacle_to(flow) == ""
    flow.document = {"steps": [{"record_call": True}]}
    why = "the flow has the step record_call, which a carrier of an open campaign that uses it can't do"
    assert carrier_fit.obstacle_to(flow) == why
    lifecycle.delete(campaign, actor=ACTOR)
    assert carrier_fit.obstacle_to(flow) == ""
    second = line_over(rig, "twilio")
    for place, line in enumerate((second, campaign.caller_id), start=1):
        Route.objects.create(caller_id=second, trunk=line.trunk, place=place)
    Flow.objects.filter(pk=flow.pk).update(document={"steps": [{"say": "Hello"}]})
    rig.campaign(caller_id=second, flow=Flow.objects.get(pk=flow.pk), **LATER)
    assert carrier_fit.obstacle_to(flow) == why, "over the second trunk of its caller ID"


@pytest.mark.parametrize(
    ("carrier", "step", "is_taken"),
    [
        ("sandbox", {"record": {}}, False),
        ("sandbox", {"record_call": True}, False),
        ("signalwire", {"record": {}}, True),
        ("signalwire", {"record_call": True}, False),
        ("twilio", {"record_call": True}, True),
        ("telnyx", {"record_call": True}, True),
        ("sip", {"record_call": True}, True),
    ],
)
def test_a_flow_that_records_needs_a_carrier_that_can(rig, carrier, step, is_taken):
    trunk = TrunkFactory(carrier=carrier, base_url=BASE_URLS.get(carrier, ""), account_sid="AC1", api_key="AC1")
    line = CallerIdFactory(account=rig.account, trunk=trunk)
    recording = FlowFactory(account=rig.account, document={"steps": [step]})
    if is_taken:
        assert rig.campaign(caller_id=line, flow=recording, **LATER).pk
        return
    with pytest.raises(
        InvalidRequest, match=f"its flow has the step {next(iter(step))}, which this caller_id can't do"
    ):
        rig.campaign(caller_id=line, flow=recording)
    assert not Campaign.objects.exists()


def test_machines_are_told_from_people_where_the_carrier_can(rig, over_exotel):
    with pytest.raises(InvalidRequest, match="'machine_detection': a carrier of this caller_id can't tell machines"):
        rig.campaign(caller_id=over_exotel, machine_detection="hang-up")
    twilio = TrunkFactory(carrier="twilio", base_url="https://a.example", account_sid="AC1", api_key="AC1")
    line = CallerIdFactory(account=rig.account, trunk=twilio)
    campaign = rig.campaign(caller_id=line, machine_detection="hang-up", **LATER)
    obstacle = carrier_fit.obstacle(Campaign.objects.filter(pk=campaign.pk), over_exotel.trunk.kind)
    assert obstacle == f"the campaign {campaign} tells machines from people, which Exotel (v1 connect) can't"


def test_a_message_is_left_where_the_flow_has_one(rig):
    twilio = TrunkFactory(carrier="twilio", base_url="https://a.example", account_sid="AC1", api_key="AC1")
    line = CallerIdFactory(account=rig.account, trunk=twilio)
    with pytest.raises(InvalidRequest, match="'machine_detection': the flow has nothing for machines"):
        rig.campaign(caller_id=line, machine_detection="leave-message")
    campaign = rig.campaign(caller_id=line, machine_detection="hang-up", **LATER)
    with pytest.raises(InvalidRequest, match="nothing for machines"):
        lifecycle.change(campaign, now=START, actor=ACTOR, machine_detection="leave-message")
    rig.flow.document = rig.flow.document | {"machine": [{"say": "Call us back"}]}
    rig.flow.save()
    campaign = Campaign.objects.get()
    lifecycle.change(campaign, now=START, actor=ACTOR, machine_detection="leave-message")
    rig.campaign(caller_id=line, machine_detection="leave-message", **text())
    assert Campaign.objects.count() == 2


@pytest.fixture
def order(rig, over_exotel):
    """Put a trunk at Exotel behind the one of the rig's caller ID."""
    for place, trunk in enumerate((rig.trunk, over_exotel.trunk), start=1):
        Route.objects.create(caller_id=rig.caller_id, trunk=trunk, place=place)


@pytest.mark.usefixtures("order")
def test_every_trunk_of_the_caller_id_has_to_fit(rig):
    with pytest.raises(InvalidRequest, match="'read_via_text'"):
        rig.campaign(**text())
    with pytest.raises(InvalidRequest, match="'custom_field'"):
        rig.campaign(custom_field="x" * 129)
    assert rig.campaign(custom_field="x" * 128).pk


def test_a_campaign_is_not_resumed_over_an_order_with_a_trunk_that_can_t_call_for_it(rig, request):
    campaign = rig.campaign(**text())
    lifecycle.pause(campaign, actor=ACTOR)
    request.getfixturevalue("order")
    with pytest.raises(WrongState, match="flows of the carrier's own account only"):
        lifecycle.resume(campaign, actor=ACTOR)
