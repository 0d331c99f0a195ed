"""Why a person is not called any more: told in stats, the report, the diagnosis and webhooks, in the same words."""

import pytest
from django.utils import timezone

from campaigns.models import Call
from contacts.models import DoNotCall
from dialer import diagnosis
from dialer.models import CallAttempt
from reports import csv_report
from tests.conftest import NUMBERS
from tests.dialer.test_number_gate import told
from tests.dialer.test_outcomes import tell
from webhooks.models import WebhookDelivery

A, B = NUMBERS[:2]


def listed(rig):
    DoNotCall.objects.create(account=rig.account, number=A, source="csv", added_at=timezone.now())


def on_a_register(rig):
    rig.carrier.script[A] = ["listed"]


def unwanted(rig):
    rig.carrier.script[A] = ["silent"]


@pytest.mark.parametrize(
    ("happens", "stats", "reason"),
    [
        (listed, "failed-dnd", "on the do-not-call list: added by a CSV file"),
        (on_a_register, "failed-dnd", "HTTP 403: in NDNC"),
        (unwanted, "failed", "607 Unwanted"),
    ],
)
def test_a_reason_is_told_wherever_people_look(rig, happens, stats, reason):
    happens(rig)
    campaign = rig.campaign([A, B], retries=2, call_schedule_callback="https://client.example/hook")
    rig.tick()
    for attempt in CallAttempt.objects.filter(callee=A, status="in-progress"):
        tell(attempt, "failed", wish="refusal", names_number=True, reason=reason)
    rig.settle()
    assert told(campaign) == {"completed": 1, stats: 1}
    report = b"".join(csv_report.stream(campaign)).decode()
    [line] = [line for line in report.splitlines() if A in line]
    assert reason in line
    now, calls = timezone.now(), list(Call.objects.filter(number=A))
    [found] = diagnosis.of_calls(calls, diagnosis.of_campaign(campaign, now), now)
    assert reason in found.summary
    [payload] = [
        delivery.payload
        for delivery in WebhookDelivery.objects.filter(kind="call-schedule")
        if delivery.payload["to"] == A
    ]
    assert payload["reason"] == reason
