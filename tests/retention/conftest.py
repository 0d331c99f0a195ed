from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns.models import Campaign
from retention import deletion
from tests.conftest import NUMBERS
from tests.factories import CustomFieldFactory, RecordingFactory, TransferFactory, WebhookTryFactory
from webhooks.models import WebhookDelivery

CALLBACKS = {
    "call_status_callback": "https://client.example/same",
    "call_schedule_callback": "https://client.example/same",
    "status_callback": "https://client.example/same",
}
# Every table that has rows of a campaign, and the condition that finds those of one.
ROWS = {
    "campaigns_campaign": "id = %(campaign)s",
    "campaigns_campaignhistory": "subject_id = %(campaign)s",
    "campaigns_customfield": "campaign_id = %(campaign)s",
    "campaigns_call": "campaign_id = %(campaign)s",
    "campaigns_callhistory": "subject_id = ANY(%(calls)s)",
    "dialer_callattempt": "campaign_id = %(campaign)s",
    "dialer_attempthistory": "subject_id = ANY(%(attempts)s)",
    "dialer_transfer": "attempt_id = ANY(%(attempts)s)",
    "dialer_recording": "attempt_id = ANY(%(attempts)s)",
    "dialer_carrierevent": "attempt_id = ANY(%(attempts)s)",
    "webhooks_webhookdelivery": "campaign_id = %(campaign)s",
    "webhooks_webhooktry": "delivery_id = ANY(%(webhooks)s)",
}


class Kept:
    """The rows of a campaign, to be counted also when the rows that they hang on are gone."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.keys: dict[str, Any] = {
            "campaign": campaign.pk,
            "calls": list(campaign.calls.values_list("pk", flat=True)),
            "attempts": list(campaign.attempts.values_list("pk", flat=True)),
            "webhooks": list(campaign.webhook_deliveries.values_list("pk", flat=True)),
        }

    def rows(self) -> dict[str, int]:
        with connection.cursor() as cursor:
            counted = {}
            for table, condition in ROWS.items():
                cursor.execute(f"SELECT count(*) FROM {table} WHERE {condition}", self.keys)
                counted[table] = cursor.fetchone()[0]
            return counted

    @property
    def is_whole(self) -> bool:
        return all(self.rows().values())

    @property
    def is_gone(self) -> bool:
        return not any(self.rows().values())


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(deletion, "SLICE", 3)


@pytest.fixture
def over(rig):
    """Make campaigns that have come to their end, with rows in every table: calls, retries, events, webhooks."""

    def make(numbers: list[str] | int = 5, **columns: Any) -> Kept:
        chosen = NUMBERS[:numbers] if isinstance(numbers, int) else numbers
        rig.carrier.script |= {number: ["busy", "completed"] for number in chosen}
        campaign = rig.campaign(chosen, retries=1, **CALLBACKS, **columns)
        rig.tick()
        rig.later(minutes=10)
        campaign.refresh_from_db()
        assert campaign.status == "completed"
        CustomFieldFactory(campaign=campaign)
        TransferFactory(attempt=campaign.attempts.first(), ended_at=timezone.now(), outcome="completed")
        RecordingFactory(attempt=campaign.attempts.first())
        deliver_all()
        WebhookTryFactory(delivery=WebhookDelivery.objects.filter(campaign=campaign).first())
        kept = Kept(campaign)
        assert kept.is_whole
        return kept

    return make


def deliver_all() -> None:
    WebhookDelivery.objects.update(next_try_at=None, sending_until=None, delivered_at=timezone.now(), given_up_at=None)


def days(number: float) -> timedelta:
    return timedelta(days=number)
