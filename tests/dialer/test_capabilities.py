"""What a carrier's kind says that it can is what its driver does, and it is asked for nothing else.

The first part goes over each carrier's far end (`far_ends.py`), the second over a carrier that can do nothing.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from django.utils.module_loading import import_string

import accounts.carriers
from accounts.carriers import CarrierKind, FoundBy
from campaigns import schedule
from campaigns.models import Campaign
from core.errors import InvalidRequest
from dialer import carriers, check_calls, hang_ups, holds, inbox, links, look_ups, reconcile
from dialer.carriers import base, http_carrier
from dialer.carriers.base import Accepted, Carrier, Event, NoSuchCall
from dialer.carriers.simulated import SimulatedCarrier
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.dialer.far_ends import News
from tests.factories import ACTOR, CallAttemptFactory, CallerIdFactory, TrunkFactory

A = NUMBERS[0]


@pytest.fixture
def kind(far):
    return accounts.carriers.get(far.carrier)


def attempts():
    return list(CallAttempt.objects.order_by("pk").values_list("status", flat=True))


# What it can ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", [*map(import_string, carriers.DRIVERS)], ids=lambda driver: driver.kind.name)
@pytest.mark.parametrize(
    ("capability", "does_it"),
    [
        ("hangs_up", {"hang_up", "end_call"}),
        ("queues_calls", {"withdraw", "withdraw_call"}),
        ("lists_calls", {"list_calls"}),
        ("signs_requests", {"is_genuine"}),
    ],
)
def test_what_a_driver_says_it_can_it_has_code_for(driver, capability, does_it):
    given = {base.__name__, http_carrier.__name__}
    own = [name for name in does_it if hasattr(driver, name) and getattr(driver, name).__module__ not in given]
    assert own or not getattr(driver.kind, capability)


def test_calls_that_are_up_are_hung_up_where_their_carrier_ends_calls(rig, far, line, kind, dialed):
    call = dialed.one()
    far.tell(call, News.ANSWERED)
    rig.settle()
    asked = hang_ups.hang_up([Campaign.objects.get().pk])
    assert (call.is_hung_up, sum(asked.values())) == (kind.hangs_up, int(kind.hangs_up))
    assert hang_ups.that_go_on(CallAttempt.objects.all()) == ({} if kind.hangs_up else {kind.label: 1})


@pytest.mark.parametrize("is_lost", [False, True])
def test_an_end_is_asked_for_by_what_the_carrier_goes_by(rig, far, kind, dialed, settings, is_lost):
    call = dialed.one()
    far.tell(call, News.ANSWERED)
    rig.settle()
    if is_lost:
        CallAttempt.objects.update(carrier_ref="")
    far.end(call, News.COMPLETED)
    rig.clock.shift(timedelta(seconds=settings.CARRIER_POLL_AFTER_SECONDS + 1))
    rig.recover()
    assert attempts() == ["completed"]
    goes_by_ours = FoundBy.OUR_ID in kind.found_by
    assert far.asked == ([] if goes_by_ours else [FoundBy.NUMBER if is_lost else FoundBy.ITS_ID])
    assert kind.found_by >= set(far.asked)


def test_another_attempt_at_the_number_is_in_the_way_only_where_calls_are_found_by_it(rig, far, line, kind):
    """An attempt whose dialer died before it asked: another account's call to the number may be taken for its."""
    now = timezone.now()
    lost = CallAttemptFactory(placing=True, call__number=A, claimed_at=now, trunk=line.trunk)
    other = {"claimed_at": now, "heard_at": now + timedelta(hours=1), "trunk": line.trunk}
    CallAttemptFactory(in_progress=True, call__number=A, **other)
    rig.clock.shift(look_ups.believed_after() + timedelta(seconds=2))
    rig.recover()
    lost.refresh_from_db()
    assert lost.status == ("canceled" if FoundBy.OUR_ID in kind.found_by else "unknown")


def test_a_carrier_is_given_the_addresses_that_it_needs_and_each_is_open_to_it_alone(
    far, line, kind, dialed, client, settings
):
    call = dialed.one()
    assert call.callback.startswith(f"{settings.EVENTS_URL}/carrier-events/{kind.name}/") is kind.calls_back
    [flow_url] = call.fields.get("Url", [""])
    assert flow_url.startswith(settings.PUBLIC_URL) is (kind.runs_our_flows and kind.calls_back)
    if kind.calls_back:
        news = urlencode({"CallSid": call.ref, "CallStatus": "ringing", "Status": "ringing"})
        unsigned = far.post(call.callback, news, "application/x-www-form-urlencoded", {})
        assert unsigned.status_code == (403 if kind.signs_requests else 204)
    keys = client.get(links.passthru_url(line.trunk.pk).removeprefix(settings.PUBLIC_URL))
    assert keys.status_code == (403 if kind.reports_keys else 302)


def test_machines_are_told_from_people_where_the_carrier_can(far, kind, dialed):
    if kind.detects_machines:
        assert dialed.one(machine_detection="hang-up").fields.get("MachineDetection") == ["Enable"]
        return
    with pytest.raises(InvalidRequest, match="can't tell machines from people"):
        dialed.one(machine_detection="hang-up")
    assert far.calls == []


def test_a_custom_field_is_as_long_as_the_carrier_takes(far, kind, dialed):
    longest = kind.longest_custom_field
    call = dialed.one(custom_field="x" * (longest or 5_000))
    assert len(call.fields.get("CustomField", [""])[0]) in {0, longest or 5_000}
    if longest:
        with pytest.raises(InvalidRequest, match=f"takes {longest}"):
            dialed.one(custom_field="x" * (longest + 1))


# What it can't --------------------------------------------------------------------------------------------------------


class UnableCarrier(Carrier):
    """Takes calls, and shows those whose id of its own it is asked for. It notes whatever else it is asked for."""

    kind = CarrierKind("unable", "Unable (in this test)", needs_credentials=False)
    asked: ClassVar[list[Any]] = []

    @classmethod
    def connect(cls, access):
        return cls()

    def place(self, requests):
        return {request.attempt_id: Accepted(f"unable-{request.attempt_id}") for request in requests}

    def look_up(self, placed):
        self.asked.extend(attempt for attempt in placed if not attempt.carrier_ref)
        return {attempt.attempt_id: Event("in-progress", attempt.carrier_ref) for attempt in placed}

    def hang_up(self, carrier_refs):
        self.asked.extend(carrier_refs)
        return ()

    def list_calls(self, since):
        self.asked.append(since)
        return iter(())

    @classmethod
    def read_event(cls, payload):
        return Event(status=payload["unable"], answered_at=timezone.now())


@pytest.fixture
def unable(rig, monkeypatch):
    """A caller ID over that carrier, which in the end has been asked for nothing that it can't do."""
    monkeypatch.setattr(accounts.carriers, "_kinds", dict(accounts.carriers._kinds))
    monkeypatch.setattr(carriers, "_drivers", dict(carriers._drivers))
    monkeypatch.setattr(UnableCarrier, "asked", [])
    carriers.register(UnableCarrier)
    yield CallerIdFactory(account=rig.account, trunk=TrunkFactory(carrier="unable", name="unable"))
    assert UnableCarrier.asked == []


def test_its_calls_go_on_to_their_own_end_and_are_given_up_in_time(rig, unable):
    rig.campaign([A], caller_id=unable)
    rig.tick()
    rig.clock.shift(look_ups.longest_call() + timedelta(seconds=1))
    rig.recover()
    assert attempts() == ["in-progress"]
    assert hang_ups.hang_up([Campaign.objects.get().pk]) == {}
    rig.clock.shift(look_ups.HANG_UP_GRACE)
    assert rig.recover().given_up == 1


def test_it_is_not_asked_for_a_call_whose_id_was_lost(rig, unable):
    CallAttemptFactory(placing=True, call__number=A, claimed_at=timezone.now(), trunk=unable.trunk)
    rig.clock.shift(look_ups.believed_after() + timedelta(seconds=2))
    assert rig.recover().parked == 1
    assert attempts() == ["unknown"]
    rig.clock.shift(look_ups.longest_call())
    assert rig.recover().given_up == 1


def test_it_is_not_asked_for_a_list(rig, unable):
    holds.hold(holds.Because.OPERATOR, "to see", actor=ACTOR, now=timezone.now())
    done = reconcile.reconcile(timezone.now(), actor=ACTOR, since=timezone.now() - timedelta(hours=1))
    assert "this carrier keeps no list of its calls" in done.not_asked.values()


def test_a_test_call_says_that_it_can_t_be_hung_up(rig, unable, monkeypatch):
    for patience in ("NEWS_WITHIN", "PRESSED_WITHIN"):
        monkeypatch.setattr(check_calls, patience, timedelta(seconds=3))
    told: list[CallAttempt] = []

    def wait():
        rig.later(seconds=1)
        if not told and (up := CallAttempt.objects.filter(status="in-progress").first()):
            told.append(up)
            inbox.append("unable", [(up.pk, {"unable": "in-progress"})])
        rig.settle()

    made = check_calls.call(unable.trunk, A, flow_url="", actor=ACTOR, wait=wait)
    seen = {step.name: (step.is_good, step.said) for step in made}
    assert seen["hang-up"] == (True, "not tried: Unable (in this test) ends no calls. Hang up yourself")


@pytest.mark.parametrize("ends_calls", [True, False])
def test_a_call_that_was_taken_after_its_attempt_was_given_back_is_hung_up_where_that_can_be(
    rig, monkeypatch, ends_calls
):
    """The process that asked for it stood still, and the carrier's list lags."""
    hung_up = []
    monkeypatch.setattr(rig.carrier, "hang_up", lambda refs: hung_up.extend(refs))
    monkeypatch.setattr(rig.carrier, "look_up", lambda placed: {one.attempt_id: NoSuchCall() for one in placed})
    monkeypatch.setattr(SimulatedCarrier, "kind", replace(SimulatedCarrier.kind, hangs_up=ends_calls))
    rig.carrier.script = {A: ["silent"]}
    place = rig.carrier.place

    def stand_still(requests):
        replies = place(requests)
        rig.clock.shift(look_ups.believed_after() + timedelta(seconds=2))
        assert rig.recover().given_back == 1
        return replies

    monkeypatch.setattr(rig.carrier, "place", stand_still)
    rig.campaign([A])
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.dial()
    ref = CallAttempt.objects.get().pk.hex
    assert hung_up == ([ref] if ends_calls else [])
