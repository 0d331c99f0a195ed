"""`manage.py purge` deletes at once what the periodic tasks would delete, and says beforehand what that is."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Account
from campaigns.models import Campaign
from core.ids import wire_id
from dialer.models import CarrierEvent
from tests.conftest import NUMBERS
from tests.factories import CampaignFactory
from tests.retention.conftest import days
from webhooks.models import WebhookDelivery

OTHERS = NUMBERS[50:53]


@pytest.fixture(autouse=True)
def ten_days(settings):
    settings.CAMPAIGNS_KEPT_DAYS = 10


def purge(*arguments: str) -> str:
    out = io.StringIO()
    call_command("purge", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_dry_run_says_what_would_be_deleted_and_deletes_nothing(rig, over):
    kept = over()
    rig.clock.shift(days(11))
    said = purge("--dry-run")
    campaign = kept.campaign
    assert f"{rig.account.sid} {wire_id(campaign.pk)} ({campaign.name}), ended 2026-03-02T06:10:00+00:00" in said
    assert ": 5 calls, 10 attempts\n" in said
    assert "would delete 1 campaign that ended before 2026-03-03T06:10:00+00:00: 5 calls, 10 attempts or more" in said
    assert "carriers' events: about 10 payloads" in said
    assert "their reports are deleted too, as REPORTS_STORAGE is not set" in said
    assert kept.is_whole
    assert not CarrierEvent.objects.filter(payload=None).exists()
    assert not Campaign.objects.filter(is_purging=True).exists()


def test_a_dry_run_counts_what_stays_for_now(rig, over):
    kept = over()
    rig.clock.shift(days(11))
    WebhookDelivery.objects.update(next_try_at=timezone.now(), delivered_at=None)
    said = purge("--dry-run")
    assert "would delete 0 campaigns" in said
    assert "not yet: 1 campaign with calls or webhooks under way, or which a rule still counts" in said
    assert kept.is_whole


def test_it_deletes_until_nothing_is_left(rig, over):
    first, second = over(), over(OTHERS)
    rig.clock.shift(days(11))
    said = purge()
    assert first.is_gone
    assert second.is_gone
    assert "deleted 5 calls, 10 attempts, 17 webhooks" in said
    assert "2 campaigns deleted" in said


def test_a_day_may_be_given_instead_of_the_setting(rig, over, settings):
    settings.CAMPAIGNS_KEPT_DAYS = None
    kept = over()
    rig.clock.shift(days(2))
    assert "none deleted, as CAMPAIGNS_KEPT_DAYS is not set" in purge()
    assert "none, as CAMPAIGNS_KEPT_DAYS is not set" in purge("--dry-run")
    purge("--before", "2026-03-02")
    assert kept.is_whole
    purge("--before", "2026-03-03")
    assert kept.is_gone


@pytest.mark.parametrize("day", ["2026-03-02", "2026-03-03", "2030-01-01"])
def test_a_campaign_that_has_only_just_ended_is_not_deleted(rig, over, day):
    kept = over()
    with pytest.raises(CommandError, match="must be a day that began a day ago or earlier, such as 2026-03-01"):
        purge("--before", day)
    assert kept.is_whole


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", ""])
def test_a_day_that_is_none_is_named(db, day):
    with pytest.raises(CommandError, match="--before: must be a day, as in 2030-01-31"):
        purge("--before", day)


def test_one_account_alone_may_be_purged(rig, over):
    kept = over()
    rig.clock.shift(days(11))
    other = CampaignFactory(completed=True, ended_at=kept.campaign.ended_at)
    purge("--account", other.account.sid)
    assert not Campaign.objects.filter(pk=other.pk).exists()
    assert kept.is_whole
    with pytest.raises(CommandError, match="there is no account nobody"):
        purge("--account", "nobody")
    assert Account.objects.filter(pk=other.account.pk).exists()


def test_it_fails_where_a_report_can_not_be_stored(rig, over, settings, tmp_path):
    settings.STORAGES = settings.STORAGES | {
        "reports": {
            "BACKEND": "tests.retention.test_kept_reports.FullStorage",
            "OPTIONS": {"location": tmp_path},
        }
    }
    kept = over()
    rig.clock.shift(days(11))
    assert "their reports are stored first" in purge("--dry-run")
    for _ in range(2):  # an operator who has made room is not told to wait an hour
        with pytest.raises(CommandError, match="1 campaign could not be deleted"):
            purge()
    assert kept.is_whole
