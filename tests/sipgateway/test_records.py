"""The rows that dialer and gateways talk through: claimed once, told once, settled when their gateway has died."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from dialer import inbox
from dialer.carriers.base import (
    CallRequest,
    CantTell,
    Event,
    NoSuchCall,
    Placed,
    TooLate,
    Unavailable,
)
from dialer.models import CarrierEvent
from sipgateway import beats, plans, records
from sipgateway.driver import SipCarrier
from sipgateway.models import Gateway, SipCall
from sipgateway.plans import CantBeMade, Plan
from sipgateway.records import Note
from tests.factories import CallAttemptFactory

pytestmark = pytest.mark.django_db

Status = SipCall.Status
OVER_SIP = {
    "call__campaign__caller_id__trunk__carrier": "sip",
    "call__campaign__caller_id__trunk__base_url": "sip:127.0.0.1:5070",
}


@pytest.fixture
def now(clock):
    return timezone.now()


def gateway(now, **columns) -> Gateway:
    own = {"pk": uuid4(), "address": "a:5060", "started_at": now, "at_work_since": now, "beat_at": now}
    return Gateway.objects.create(**own | columns)


def call(now, **columns) -> SipCall:
    own: dict[str, Any] = {"attempt_id": uuid4(), "number": "+919810000001", "caller_id": "+918047112233"}
    own |= {"ring_timeout": 45}
    own |= {"max_seconds": 3600, "ask_before": now + timedelta(seconds=5), "created_at": now}
    if columns.get("status", Status.QUEUED) in SipCall.LIVE:
        own |= {"inviting_at": now, "gateway_id": uuid4()}
    return SipCall.objects.create(**own | columns)


def look_up(row):
    [found] = SipCarrier().look_up([Placed(row.pk, row.number, row.caller_id, row.created_at, row.pk.hex)]).values()
    return found


def told(field) -> list[Any]:
    return [event.payload[field] for event in CarrierEvent.objects.order_by("id") if event.payload]


def request(now, **fields) -> CallRequest:
    own: dict[str, Any] = {
        "attempt_id": uuid4(),
        "number": "+919810000001",
        "caller_id": "+918047112233",
        "flow_id": "1",
    }
    own |= {"flow_url": "", "custom_field": "", "callback_url": "", "ring_timeout": 45, "max_seconds": 60}
    return CallRequest(**own | {"ask_before": now + timedelta(seconds=5)} | fields)


def test_a_call_is_claimed_once_oldest_first_with_its_gateway(now):
    second, first = call(now), call(now, created_at=now - timedelta(seconds=1))
    own = uuid4()
    assert [row.pk for row in records.claim(own, 1, now)] == [first.pk]
    assert [row.pk for row in records.claim(uuid4(), 5, now)] == [second.pk]
    assert records.claim(uuid4(), 5, now) == []
    first.refresh_from_db()
    assert (first.status, first.gateway_id, first.inviting_at) == (Status.INVITING, own, now)


def test_a_call_that_was_not_claimed_in_time_is_given_back_and_never_claimed(now):
    row = call(now, ask_before=now)
    assert records.claim(uuid4(), 5, now) == []
    row.refresh_from_db()
    assert (row.status, row.outcome) == (Status.ENDED, "canceled")
    assert look_up(row).status == "canceled"


def test_without_a_gateway_at_work_a_batch_is_given_back_and_leaves_nothing(now):
    gateway(now, beat_at=now - beats.DEAD_AFTER)
    gateway(now, stopped_at=now)
    asked = request(now)
    [reply] = SipCarrier().place([asked]).values()
    assert reply == Unavailable("no SIP gateway is at work: start `manage.py sipgateway`")
    assert not SipCall.objects.exists()


def test_a_request_whose_time_is_over_is_not_made(now):
    gateway(now)
    asked = request(now, ask_before=now - timedelta(seconds=1))
    assert SipCarrier().place([asked]) == {asked.attempt_id: TooLate()}
    assert not SipCall.objects.exists()


@pytest.mark.parametrize("is_taken", [True, False])
def test_news_goes_to_the_inbox_once_the_dialer_was_told_that_the_trunk_has_the_call(now, is_taken):
    row = call(now, status=Status.RINGING, is_taken=is_taken)
    records.store([Note(row.pk, {"status": Status.ENDED, "outcome": "busy", "code": 486, "ended_at": now})])
    assert told("status") == ["busy"] * is_taken
    assert look_up(row).status == "busy"


def test_notes_of_one_batch_are_one_snapshot_and_nothing_follows_an_end(now):
    row = call(now, status=Status.TALKING, is_taken=True, answered_at=now)
    records.store(
        [Note(row.pk, {"digits": "1"}), Note(row.pk, {"digits": "15"}), Note(row.pk, {"status": Status.TALKING})]
    )
    assert told("digits") == ["15"]
    end = {"status": Status.ENDED, "outcome": "completed", "ended_at": now}
    records.store([Note(row.pk, end)])
    records.store([Note(row.pk, end | {"outcome": "failed"})])
    row.refresh_from_db()
    assert (row.outcome, row.digits, CarrierEvent.objects.count()) == ("completed", "15", 2)


def test_a_call_that_is_up_is_found_as_such_and_its_news_is_told_from_then_on(now):
    row = call(now, status=Status.RINGING, gateway_id=gateway(now).pk)
    assert look_up(row) == Event(status="in-progress", carrier_ref=row.pk.hex)
    row.refresh_from_db()
    assert row.is_taken


@pytest.mark.parametrize("status", [Status.INVITING, Status.SILENT])
def test_a_call_that_the_trunk_has_not_responded_to_is_not_up(now, status):
    row = call(now, status=status, gateway_id=gateway(now).pk)
    assert look_up(row) == CantTell("the trunk has not responded to the INVITE")
    row.refresh_from_db()
    assert not row.is_taken


def test_a_call_that_was_never_inserted_is_none(now):
    assert look_up(SipCall(attempt_id=uuid4(), created_at=now)) == NoSuchCall()


@pytest.mark.parametrize("columns", [{"beat_at": None}, {"stopped_at": True}])
def test_calls_of_a_dead_gateway_are_lost(now, columns):
    dead = {"beat_at": now - beats.DEAD_AFTER} if "beat_at" in columns else {"stopped_at": now}
    row = call(now, status=Status.RINGING, gateway_id=gateway(now, **dead).pk)
    call(now, status=Status.RINGING, gateway_id=gateway(now, at_work_since=now - beats.DEAD_AFTER).pk)
    call(now)
    assert [lost.pk for lost in records.lost(now)] == [row.pk]
    assert look_up(row) == CantTell("the SIP gateway that had the call has died")


def test_of_many_lost_calls_those_come_first_that_somebody_listens_to_and_then_the_oldest(now):
    """Or calls that may ring for another minute would fill each look, and people would hear silence for as long."""
    young, old = (call(now, status=Status.RINGING, inviting_at=now - timedelta(seconds=age)) for age in (1, 9))
    talking = call(now, status=Status.TALKING, answered_at=now)
    assert [[lost.pk for lost in records.lost(now, most)] for most in (1, 3)] == [
        [talking.pk],
        [talking.pk, old.pk, young.pk],
    ]


def test_a_lost_call_that_was_answered_has_reached_a_person(now):
    row = call(now, status=Status.TALKING, answered_at=now, is_taken=True)
    end = records.end_of_lost(row, now)
    assert end
    records.store([end])
    inbox.settle_batch(now)
    assert look_up(row).status == "completed"


def test_a_lost_call_that_may_ring_is_spent_only_when_no_phone_can_ring_any_more(now):
    row = call(now, status=Status.RINGING)
    over = now + timedelta(seconds=45 + 32 + 8)
    assert records.end_of_lost(row, over - timedelta(seconds=1)) is None
    end = records.end_of_lost(row, over)
    assert end
    assert end.columns["outcome"] == "failed"


def test_hanging_up_reaches_the_gateway_that_has_the_call(now):
    own = uuid4()
    row = call(now, status=Status.RINGING, gateway_id=own)
    SipCarrier().hang_up([row.pk.hex])
    assert records.to_hang_up(own) == [row.pk]
    assert records.to_hang_up(uuid4()) == []


def test_rows_of_calls_that_ended_days_ago_go(now):
    end = {"status": Status.ENDED, "outcome": "busy"}
    call(now, ended_at=now - records.KEPT - timedelta(seconds=1), **end)
    kept = call(now, ended_at=now - records.KEPT + timedelta(seconds=1), **end)
    gateway(now, beat_at=now - records.KEPT - timedelta(seconds=1))
    assert records.delete_old(now) == 1
    assert list(SipCall.objects.all()) == [kept]
    assert not Gateway.objects.exists()


def test_a_call_that_its_own_gateway_lost_sight_of_ends(now):
    own = uuid4()
    old = {
        "status": Status.INVITING,
        "gateway_id": own,
        "inviting_at": now - records.FORGOTTEN_AFTER - timedelta(seconds=1),
    }
    known, row = call(now, **old), call(now, **old)
    call(now, **old | {"inviting_at": now})
    call(now, **old | {"gateway_id": uuid4()})
    assert records.forgotten(own, [known.pk], now) == [row.pk]
    records.store([records.end_of_forgotten(row.pk, now)])
    assert look_up(row).status == "failed"
    assert records.forgotten(own, [known.pk], now) == []


def test_a_call_that_this_program_fails_on_holds_up_no_other(now):
    good = CallAttemptFactory(placing=True, **OVER_SIP)
    bad = CallAttemptFactory(placing=True, call__campaign__greeting=True, **OVER_SIP)
    bad.call.campaign.text = "Dear @@Nobody"
    bad.call.campaign.save()
    rows = [call(now, attempt_id=attempt.pk) for attempt in (bad, good)]
    faulty, plan = plans.plans_of(rows)
    assert isinstance(faulty, CantBeMade)
    assert faulty.is_our_fault
    assert isinstance(plan, Plan)
    assert (plan.address.host, plan.credentials) == ("127.0.0.1", None)
