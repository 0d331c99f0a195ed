"""The cost of webhooks: nothing without addresses, and as many statements for fifty events as for one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import ending, lifecycle, schedule
from campaigns.models import Campaign
from dialer import outcomes
from dialer.attempt_ends import Ended
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig
from tests.factories import ACTOR
from webhooks.models import WebhookDelivery

CALLBACKS = {
    "call_status_callback": "https://client.example/call",
    "call_schedule_callback": "https://client.example/schedule",
    "status_callback": "https://client.example/campaign",
}


def statements(act: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as made:
        act()
    return [statement["sql"] for statement in made]


def end_attempts(rig: Rig, count: int, **callbacks: str) -> list[str]:
    """Return the statements that end so many attempts, and with them their campaign."""
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    rig.campaign(count, **callbacks)
    rig.tick()
    up = CallAttempt.objects.filter(status="in-progress").values_list("pk", flat=True)
    ends = [Ended(pk, "busy") for pk in up]
    assert len(ends) == count
    return statements(lambda: outcomes.end(ends, timezone.now()))


def start_campaigns(rig: Rig, count: int, **callbacks: str) -> list[str]:
    for _ in range(count):
        rig.campaign(1, send_at=timezone.now() + timedelta(minutes=1), **callbacks)
    rig.clock.shift(timedelta(minutes=1))
    made = statements(lambda: schedule.start_due(timezone.now()))
    assert Campaign.objects.filter(status="in-progress", started_at=timezone.now()).count() == count
    return made


def stop_campaign(rig: Rig, count: int, **callbacks: str) -> list[str]:
    campaign = rig.campaign(count, **callbacks)
    rig.clock.shift(timedelta(minutes=1))
    lifecycle.pause(campaign, actor=ACTOR)
    return statements(lambda: lifecycle.complete(campaign, actor=ACTOR))


ACTS = [end_attempts, start_campaigns, stop_campaign]


@pytest.mark.parametrize("act", ACTS)
def test_fifty_take_as_many_statements_as_one(rig, act):
    one, fifty = act(rig, 1, **CALLBACKS), act(rig, 50, **CALLBACKS)
    assert len(one) == len(fifty)
    assert any('INSERT INTO "webhooks_webhookdelivery"' in sql for sql in fifty)


@pytest.mark.parametrize(("act", "more"), [(end_attempts, 5), (start_campaigns, 2), (stop_campaign, 2)])
def test_without_addresses_there_is_no_statement_for_webhooks(rig, act, more):
    """more: inserts, and reads of the accounts' time zones."""
    plain, telling = act(rig, 3), act(rig, 3, **CALLBACKS)
    assert not any("webhooks_webhookdelivery" in sql for sql in plain)
    assert len(telling) - len(plain) == more


def test_no_attempt_call_or_campaign_that_was_handed_over_is_loaded_again(rig):
    told = end_attempts(rig, 2, **CALLBACKS)
    loads = [sql for sql in told if sql.startswith("SELECT")]
    locked = [sql for sql in loads if "FOR UPDATE" in sql and '"dialer_callattempt"' in sql]
    assert len(locked) == 1
    again = [sql for sql in loads if 'FROM "dialer_callattempt"' in sql and "FOR UPDATE" not in sql]
    # The attempts that those numbers had before, for `call_sids`: their ids and statuses only.
    assert all('"dialer_callattempt"."claimed_at"' not in sql for sql in again)
    assert not any('FROM "campaigns_call"' in sql and '"campaigns_call"."number"' in sql for sql in loads)


def test_a_campaign_that_is_stopped_is_told_of_in_slices(rig, monkeypatch):
    """All numbers are told once, in their order, whatever the sizes of the slices."""
    monkeypatch.setattr(ending, "SLICE", 3)
    stop_campaign(rig, 10, call_schedule_callback=CALLBACKS["call_schedule_callback"])
    rig.tick()
    assert [row.payload["to"] for row in WebhookDelivery.objects.order_by("id")] == NUMBERS[:10]
