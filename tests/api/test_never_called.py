"""Why a number is never called is told in the report, its webhook, the call details and the diagnosis."""

from datetime import time, timedelta

import pytest
from django.utils import timezone

from accounts.credentials import create_key
from campaigns import taking_out
from campaigns.taking_out import Wanted
from contacts import address_book, do_not_call
from dialer.models import CallAttempt
from tests.api.client import Api
from tests.api.test_report import report
from tests.conftest import NUMBERS
from tests.factories import ACTOR, CallAttemptFactory, ContactFactory, ContactListFactory, ListEntryFactory
from webhooks.models import WebhookDelivery

NEVER, CALLED = NUMBERS[:2]


@pytest.fixture
def api(rig):
    made = create_key(rig.account, actor=ACTOR)
    return Api(rig.account, made.key, made.token)


@pytest.fixture
def campaign(rig):
    """A campaign made from a list of two."""
    made = ContactListFactory(account=rig.account)
    for number in (NEVER, CALLED):
        ListEntryFactory(contact_list=made, contact=ContactFactory(account=rig.account, number=number))
    return rig.campaign([], list_ids=[made.pk], call_schedule_callback="https://client.example/told")


def listed(rig, campaign):
    do_not_call.add(rig.account, [NEVER], source="api", actor=ACTOR)


def listed_at_the_dial(rig, campaign):
    """As an entry that is committed while a dispatch has the call."""
    rig.account.do_not_call.create(number=NEVER, source="api", added_at=timezone.now())


def taken_out(rig, campaign):
    taking_out.take_out(campaign, [Wanted(number=NEVER)], actor=ACTOR, now=timezone.now())


def deleted(rig, campaign):
    address_book.delete(rig.account.contacts.get(number=NEVER), actor=ACTOR)


def without_consent(rig, campaign):
    rig.account.rules = ["de"]
    rig.account.save()
    campaign.calls.filter(number=NEVER).update(number="+4915112345678")
    rig.account.allowed_countries = ["IN", "DE"]
    rig.account.save()


def not_allowed(rig, campaign):
    campaign.calls.filter(number=NEVER).update(number="+4915112345678")


def moved_abroad(rig, campaign, number, *, rules, country):
    campaign.calls.filter(number=NEVER).update(number=number)
    rig.account.rules, rig.account.allowed_countries = rules, ["IN", country]
    rig.account.save()


def never_awake_together(rig, campaign):
    """From eleven to one in India it is between midnight and three in New York."""
    moved_abroad(rig, campaign, "+12125550123", rules=["us-live"], country="US")
    rig.account.opens_at, rig.account.closes_at = time(11), time(13)
    rig.account.save()


def left_alone(rig, campaign):
    number = "+971501234567"
    moved_abroad(rig, campaign, number, rules=["ae"], country="AE")
    asked = CallAttemptFactory(call__campaign__account=rig.account, call__number=number, completed=True, wish="refusal")
    CallAttempt.objects.filter(pk=asked.pk).update(placing_at=timezone.now() - timedelta(days=400))


@pytest.mark.parametrize(
    ("happens", "counted", "status", "rule", "reason"),
    [
        (listed, "failed-dnd", "failed", "do-not-call", "on the do-not-call list: added by the API"),
        (listed_at_the_dial, "failed-dnd", "failed", "do-not-call", "on the do-not-call list: added by the API"),
        (taken_out, "failed-no-attempt", "canceled", "taken-out", "the number was taken out of the campaign"),
        (deleted, "failed-no-attempt", "canceled", "contact-deleted", "the contact was deleted"),
        (
            without_consent,
            "failed-no-attempt",
            "failed",
            "no-consent",
            "no consent to recorded-voice calls is recorded",
        ),
        (never_awake_together, "failed-no-attempt", "failed", "no-common-hours", "the recipient's hours "),
        (left_alone, "failed-no-attempt", "failed", "quiet-time", "no call for forever after a refusal"),
        (
            not_allowed,
            "failed-no-attempt",
            "failed",
            "not-called",
            "it is a number of DE, and this account calls IN only",
        ),
    ],
)
def test_the_reason_is_told_everywhere(rig, api, campaign, happens, counted, status, rule, reason):
    happens(rig, campaign)
    number = campaign.calls.exclude(number=CALLED).get().number
    rig.tick()
    assert rig.rings() == [CALLED]
    told = api.get(f"/campaigns/{campaign.pk.hex}").data["stats"]
    assert (told[counted], told["completed"]) == (1, 1)
    [row] = [row for row in report(api, campaign) if row["number"] == number]
    assert (row["status"], row["attempts"]) == (status, "0")
    assert row["reason"].startswith(reason)
    reason = row["reason"]
    webhooks = WebhookDelivery.objects.filter(kind="call-schedule")
    [payload] = [webhook.payload for webhook in webhooks if webhook.payload["to"] == number]
    assert payload["reason"] == reason
    found = api.get(f"/campaigns/{campaign.pk.hex}/diagnosis?number=%2B{number[1:]}").data
    [call] = found["calls_to_number"]
    assert call["summary"] == f"{'never dialled' if status == 'canceled' else 'failed'}: {reason}"
    assert call["rule"] == rule
    [kept] = [told for told in found["reasons"] if told["code"] == "never-dialed"]
    assert kept["message"].startswith("1 number never dialed: 1 ")
    assert kept["message"] != f"1 number never dialed: 1 {rule}", "in words"
    details = api.get(f"/campaigns/{campaign.pk.hex}/call-details").records
    [record] = [record for record in details if record["number"] == number]
    assert (record["call_sid"], record["status"], record["rule"], record["reason"]) == (None, status, rule, reason)
