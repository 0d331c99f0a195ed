"""The bodies of the three webhooks and their moments: stored with the change, in order, and only where asked for."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import lifecycle
from campaigns.models import Call, Campaign
from dialer import inbox, outcomes
from dialer.attempt_ends import Ended
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.factories import ACTOR
from webhooks.models import WebhookDelivery

A, B, C = NUMBERS[:3]
CALLBACKS = {
    "call_status_callback": "https://client.example/call",
    "call_schedule_callback": "https://client.example/schedule",
    "status_callback": "https://client.example/campaign",
}


def told():
    """Return the kind and payload of every webhook, in the order in which they are sent."""
    return [(row.kind, row.payload) for row in WebhookDelivery.objects.order_by("id")]


def kinds():
    return [(kind, payload["status"]) for kind, payload in told()]


def local(moment):
    """Write a moment by RFC 3339 in India, where the rig's account is."""
    return (moment + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S") + "+05:30"


def test_a_campaign_tells_of_its_start_its_call_its_number_and_its_end_in_this_order(rig):
    campaign = rig.campaign([A], **CALLBACKS)
    rig.tick()
    campaign.refresh_from_db()
    attempt = CallAttempt.objects.get()
    created, updated = local(campaign.created_at), local(campaign.updated_at)
    report = told()[-1][1]["reports"]
    assert told() == [
        (
            "campaign-status",
            {
                "campaign_sid": campaign.pk.hex,
                "date_created": created,
                "date_updated": updated,
                "date_started": "2026-03-02T11:30:00+05:30",
                "status": "in-progress",
                "reports": None,
            },
        ),
        (
            "call-status",
            {
                "campaign_sid": campaign.pk.hex,
                "call_sid": attempt.pk.hex,
                "date_created": "2026-03-02T11:30:00+05:30",
                "date_updated": "2026-03-02T11:30:00+05:30",
                "number": A,
                "status": "completed",
            },
        ),
        (
            "call-schedule",
            {
                "campaign_sid": campaign.pk.hex,
                "to": A,
                "from": campaign.caller_id_given,
                "date_created": created,
                "date_updated": "2026-03-02T11:30:00+05:30",
                "call_sids": [{"call_sid": attempt.pk.hex, "status": "completed"}],
                "status": "completed",
            },
        ),
        (
            "campaign-status",
            {
                "campaign_sid": campaign.pk.hex,
                "date_created": created,
                "date_updated": updated,
                "date_started": "2026-03-02T11:30:00+05:30",
                "status": "completed",
                "reports": report,
                "report_url": report,
            },
        ),
    ]
    assert f"/reports/{campaign.pk.hex}.csv?signature=" in report


def test_keys_that_were_pressed_are_told_with_the_call_and_otherwise_none(rig):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign([A], **CALLBACKS)
    rig.tick()
    pk = CallAttempt.objects.get().pk
    pressed = [{"status": "in-progress", "digits": "1"}, {"status": "completed", "digits": "12"}]
    inbox.append("simulated", [(pk, news) for news in pressed])
    rig.settle()
    assert [body.get("digits") for kind, body in told() if kind == "call-status"] == ["12"]


def test_each_kind_goes_to_its_own_address_and_is_the_accounts(rig):
    campaign = rig.campaign([A], **CALLBACKS)
    rig.tick()
    assert {row.kind: row.url for row in WebhookDelivery.objects.all()} == {
        "call-status": CALLBACKS["call_status_callback"],
        "call-schedule": CALLBACKS["call_schedule_callback"],
        "campaign-status": CALLBACKS["status_callback"],
    }
    assert {(row.account, row.campaign) for row in WebhookDelivery.objects.all()} == {(rig.account, campaign)}


def test_every_attempt_is_told_and_the_number_once_with_all_of_them(rig):
    rig.carrier.script = {A: ["busy", "no-answer", "completed"]}
    rig.campaign([A], retries=2, **CALLBACKS)
    rig.tick()
    rig.later(minutes=10)
    rig.later(minutes=10)
    assert kinds() == [
        ("campaign-status", "in-progress"),
        ("call-status", "busy"),
        ("call-status", "no-answer"),
        ("call-status", "completed"),
        ("call-schedule", "completed"),
        ("campaign-status", "completed"),
    ]
    attempts = [attempt.pk.hex for attempt in CallAttempt.objects.order_by("id")]
    assert told()[4][1]["call_sids"] == [
        {"call_sid": sid, "status": status}
        for sid, status in zip(attempts, ["busy", "no-answer", "completed"], strict=True)
    ]


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
def test_a_number_that_was_not_reached_has_its_last_outcome(rig, outcome):
    rig.carrier.script = {A: [outcome]}
    rig.campaign([A], call_schedule_callback=CALLBACKS["call_schedule_callback"])
    rig.tick()
    assert kinds() == [("call-schedule", outcome)]


def test_numbers_never_dialled_are_told_as_failed_without_any_call(rig):
    """They are canceled, because the campaign's end comes first."""
    rig.account.channels = 1
    rig.account.save()
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign([A, B], end_at=timezone.now() + timedelta(minutes=5), **CALLBACKS)
    rig.tick()
    rig.later(minutes=5)
    assert Call.objects.get(number=B).status == "canceled"
    assert kinds() == [("campaign-status", "in-progress"), ("call-schedule", "failed")]
    assert told()[1][1] | {"date_created": ""} == {
        "campaign_sid": campaign.pk.hex,
        "to": B,
        "from": campaign.caller_id_given,
        "date_created": "",
        "date_updated": "2026-03-02T11:35:00+05:30",
        "call_sids": [],
        "status": "failed",
    }
    inbox.append("simulated", [(CallAttempt.objects.get().pk, {"status": "completed"})])
    rig.settle()
    assert kinds()[2:] == [
        ("call-status", "completed"),
        ("call-schedule", "completed"),
        ("campaign-status", "completed"),
    ]


def test_an_attempt_that_was_given_back_tells_nothing(rig):
    rig.carrier.script = {A: ["unavailable"]}
    rig.campaign([A], **CALLBACKS)
    rig.tick()
    assert CallAttempt.objects.get().status == "canceled"
    assert kinds() == [("campaign-status", "in-progress")]


def test_pause_resume_and_archive_tell_nothing(rig):
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign([A], **CALLBACKS)
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    rig.clock.shift(5)
    lifecycle.resume(campaign, actor=ACTOR)
    assert kinds() == [("campaign-status", "in-progress")]
    inbox.append("simulated", [(CallAttempt.objects.get().pk, {"status": "completed"})])
    rig.settle()
    before = kinds()
    lifecycle.archive(campaign, actor=ACTOR)
    assert kinds() == before


def test_a_deleted_campaign_tells_nothing_not_even_of_its_numbers(rig):
    campaign = rig.campaign([A, B], send_at=timezone.now() + timedelta(hours=1), **CALLBACKS)
    lifecycle.delete(campaign, actor=ACTOR)
    assert set(Call.objects.values_list("status", flat=True)) == {"failed"}
    assert told() == []


def test_a_campaign_that_was_paused_before_its_start_tells_of_it_when_it_is_resumed(rig):
    campaign = rig.campaign([A], send_at=timezone.now() + timedelta(minutes=1), **CALLBACKS)
    lifecycle.pause(campaign, actor=ACTOR)
    rig.clock.shift(120)
    lifecycle.resume(campaign, actor=ACTOR)
    assert kinds() == [("campaign-status", "in-progress")]


def test_a_campaign_that_is_completed_on_request_tells_its_numbers_first(rig):
    rig.account.channels = 1
    rig.account.save()
    rig.carrier.script = {A: ["busy"]}
    campaign = rig.campaign([A, B], retries=1, **CALLBACKS)
    rig.tick()
    lifecycle.pause(campaign, actor=ACTOR)
    lifecycle.complete(campaign, actor=ACTOR)
    assert kinds()[-2:] == [("call-schedule", "failed"), ("campaign-status", "completed")]
    assert ("call-schedule", "busy") in kinds()


@pytest.mark.parametrize("status", ["canceled", "failed"])
def test_other_ends_are_told_with_their_report(rig, status):
    if status == "failed":
        rig.carrier.script = {A: ["refused"]}
    campaign = rig.campaign([A], **CALLBACKS)
    if status == "canceled":
        lifecycle.pause(campaign, actor=ACTOR)
        rig.later(days=31)
    rig.tick()
    assert Campaign.objects.get().status == status
    kind, payload = told()[-1]
    assert (kind, payload["status"]) == ("campaign-status", status)
    assert payload["reports"] == payload["report_url"] is not None
    assert payload["date_started"] == (None if status == "canceled" else "2026-03-02T11:30:00+05:30")


def test_a_change_that_is_rolled_back_tells_nothing(rig):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign([A], **CALLBACKS)
    rig.tick()
    before = told()
    with transaction.atomic():
        outcomes.end([Ended(CallAttempt.objects.get().pk, "completed")], timezone.now())
        # The attempt's and the call's; the campaign is closed, and told of, by a transaction of its own.
        assert len(told()) == len(before) + 2
        transaction.set_rollback(True)
    assert told() == before
    assert CallAttempt.objects.get().status == "in-progress"


def test_a_campaign_without_addresses_tells_nothing_and_takes_no_further_statement(rig):
    rig.carrier.script = {number: ["silent"] for number in (A, B)}
    counts = []
    for callbacks in ({}, CALLBACKS):
        rig.campaign([A] if callbacks else [B], **callbacks)
        rig.tick()
        [attempt] = CallAttempt.objects.filter(status="in-progress")
        with CaptureQueriesContext(connection) as statements:
            outcomes.end([Ended(attempt.pk, "completed")], timezone.now())
        counts.append([statement["sql"] for statement in statements])
    assert not any("webhook" in sql for sql in counts[0])
    assert sum('INSERT INTO "webhooks_webhookdelivery"' in sql for sql in counts[1]) == 3


def test_a_batch_takes_as_many_statements_for_one_call_as_for_forty(rig):
    counts = []
    for calls in (1, 40):
        rig.carrier.script = {number: ["silent"] for number in NUMBERS[:calls]}
        rig.campaign(calls, **CALLBACKS)
        rig.tick()
        ends = [Ended(attempt.pk, "busy") for attempt in CallAttempt.objects.filter(status="in-progress")]
        assert len(ends) == calls
        with CaptureQueriesContext(connection) as statements:
            outcomes.end(ends, timezone.now())
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_an_address_that_is_changed_counts_from_then_on(rig):
    rig.carrier.script = {A: ["silent"]}
    campaign = rig.campaign([A], status_callback="https://client.example/old")
    rig.tick()
    lifecycle.change_callbacks(campaign, status_callback="https://client.example/new", actor=ACTOR)
    inbox.append("simulated", [(CallAttempt.objects.get().pk, {"status": "completed"})])
    rig.settle()
    assert [row.url for row in WebhookDelivery.objects.order_by("id")] == [
        "https://client.example/old",
        "https://client.example/new",
    ]
