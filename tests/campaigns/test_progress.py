"""The tally of calls equals a count of the calls, whatever changes them."""

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import lifecycle, progress
from campaigns.models import Call, CallTally, Campaign
from tests.conftest import NUMBERS
from tests.factories import ACTOR


def counted(campaign):
    """Count the calls themselves."""
    calls = list(Call.objects.filter(campaign=campaign).values_list("status", "attempts_made"))
    return progress.Progress(
        by_status=dict(Counter(status for status, _ in calls)),
        untried=sum(status in {"failed", "canceled"} and not made for status, made in calls),
        retrying_live=sum(status == "in-progress" and made > 0 for status, made in calls),
        attempts=sum(made for _, made in calls),
    )


def tallied(campaign):
    return progress.of([campaign.pk])[campaign.pk]


def test_at_every_step_of_a_campaign(rig):
    rig.carrier.script = {NUMBERS[1]: ["busy"], NUMBERS[2]: ["busy", "completed"], NUMBERS[3]: ["refused"]}
    campaign = rig.campaign(5, retries=1)
    assert tallied(campaign) == counted(campaign)
    rig.tick()
    assert tallied(campaign) == counted(campaign)
    rig.later(minutes=10)
    assert tallied(campaign) == counted(campaign)
    assert tallied(campaign).by_status == {"completed": 3, "failed": 2}


@pytest.mark.django_db
def test_after_numbers_are_changed_and_after_the_campaign_is_deleted(rig):
    later = timezone.now() + timedelta(hours=1)
    campaign = rig.campaign(4, send_at=later)
    campaign = lifecycle.change(campaign, now=timezone.now(), numbers=NUMBERS[:2], actor=ACTOR)
    assert tallied(campaign).by_status == {"created": 2}
    lifecycle.delete(campaign, actor=ACTOR)
    assert tallied(campaign) == counted(campaign)


def test_calls_that_vanish_leave_nothing_behind(rig):
    campaign = rig.campaign(3)
    Campaign.objects.filter(pk=campaign.pk).delete()
    assert tallied(campaign) == progress.Progress()
    progress.compact()
    assert not CallTally.objects.exists()


def test_adding_up_changes_no_sum_and_leaves_a_row_for_each_kind(rig):
    rig.carrier.script = {NUMBERS[1]: ["busy"]}
    first, second = rig.campaign(3, retries=1), rig.campaign(NUMBERS[10:12])
    rig.tick()
    before = [tallied(first), tallied(second)]
    assert progress.compact() > 0
    assert [tallied(first), tallied(second)] == before
    assert CallTally.objects.filter(campaign_id=first.pk).count() == len(before[0].by_status)
    assert progress.compact() == 0, "there are no new rows"


def test_new_rows_are_reached_however_many_sums_there_are(rig, monkeypatch):
    monkeypatch.setattr(progress, "COMPACT_BATCH", 2)
    CallTally.objects.bulk_create(
        CallTally(campaign_id=uuid4(), status="created", tried=False, calls=1, attempts=0, is_sum=True)
        for _ in range(5)
    )
    campaign = rig.campaign(3)
    rig.tick()
    for _ in range(5):
        progress.compact()
    assert CallTally.objects.filter(campaign_id=campaign.pk).count() == 1


def test_a_statement_writes_as_many_rows_for_sixty_calls_as_for_two(rig):
    rows = []
    for calls in (2, 60):
        rig.campaign(calls)
        rig.tick()
        rows.append(CallTally.objects.count())
        CallTally.objects.all().delete()
    assert rows[0] == rows[1]


def test_progress_is_one_query(rig):
    campaigns = [rig.campaign(2).pk, rig.campaign(2).pk]
    with CaptureQueriesContext(connection) as queries:
        progress.of(campaigns)
    assert len(queries) == 1
