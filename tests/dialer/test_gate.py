"""The gate's verdicts: a code for programs, a sentence for people, and the moment to ask again."""

from datetime import UTC, datetime, time, timedelta

import pytest

from campaigns.models import Campaign
from dialer import gate
from tests.factories import CampaignFactory, TrunkHealthFactory

pytestmark = pytest.mark.django_db

# 11:30 in India.
NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
RUNNING = {"status": "in-progress", "send_at": NOW - timedelta(hours=1), "started_at": NOW - timedelta(hours=1)}


def verdict(**columns) -> gate.Verdict:
    return gate.check(CampaignFactory(**RUNNING | columns), NOW)


def test_open_while_nothing_is_against_it():
    assert verdict() == gate.Open()


@pytest.mark.parametrize("status", ["completed", "failed", "canceled", "deleted", "archived"])
def test_never_once_it_has_ended(status):
    own = {"started_at": None} if status == "deleted" else {}
    assert verdict(status=status, ended_at=NOW, **own) == gate.Never("ended", f"the campaign is {status}")


def test_never_from_its_end_on():
    given = verdict(end_at=NOW, status=Campaign.Status.IN_PROGRESS)
    assert given == gate.Never("past-its-end", "the campaign's end was 2026-03-02 11:30 IST")


@pytest.mark.parametrize(
    ("columns", "at", "code", "because"),
    [
        ({"account__is_active": False}, None, "account-inactive", "is inactive"),
        ({"status": "paused"}, None, "paused", "the campaign is paused"),
        (
            {"status": "created", "started_at": None, "send_at": NOW + timedelta(hours=1)},
            NOW + timedelta(hours=1),
            "not-started",
            "the campaign starts 2026-03-02 12:30 IST",
        ),
        ({"caller_id__is_active": False}, None, "caller-id-inactive", "is inactive"),
        (
            {"account__opens_at": time(12), "account__closes_at": time(21)},
            datetime(2026, 3, 2, 6, 30, tzinfo=UTC),
            "outside-calling-hours",
            "outside the calling hours 12:00-21:00 Asia/Kolkata until 2026-03-02 12:00 IST",
        ),
    ],
)
def test_not_now(columns, at, code, because):
    given = verdict(**columns)
    assert isinstance(given, gate.NotBefore)
    assert (given.at, given.code) == (at, code)
    assert because in given.because


def test_a_trunk_that_is_down_keeps_its_error_for_the_operator():
    health = TrunkHealthFactory(
        failures=2, down_since=NOW - timedelta(minutes=5), resting_until=NOW + timedelta(seconds=8), last_error="503"
    )
    given = verdict(caller_id__trunk=health.trunk)
    because = f"the trunk {health.trunk.name} is down since 2026-03-02 11:25 IST"
    assert given == gate.NotBefore(health.resting_until, "trunk-down", because, detail="503")


def test_after_its_rest_a_trunk_is_on_trial():
    health = TrunkHealthFactory(failures=2, down_since=NOW, resting_until=NOW - timedelta(seconds=1))
    assert verdict(caller_id__trunk=health.trunk) == gate.Open(on_trial=True)
