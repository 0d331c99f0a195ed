"""The gate's verdicts: a code for programs, a sentence for people, and the moment to ask again."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

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
        ({"account__rules": ["us", "gone"]}, None, "unknown-rules", "this version has no rule set gone: choose others"),
        ({"rules": ["gone"]}, None, "unknown-rules", "this version has no rule set gone"),
        ({"account__holidays_of": ["IN", "IN-XX"]}, None, "unknown-calendar", "no public holidays of IN-XX: choose"),
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


def at(text: str, zone: str = "Asia/Kolkata") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


DAY = {"account__opens_at": time(10, 30), "account__closes_at": time(21)}
NOT_STARTED = {"status": "created", "started_at": None}
BERLIN = {"account__time_zone": "Europe/Berlin", "account__opens_at": time(2, 30), "account__closes_at": time(21)}


@pytest.mark.parametrize(
    ("columns", "asked", "opens"),
    [
        ({}, at("2026-03-02 11:30"), at("2026-03-02 11:30")),
        # The hours: before, within, the last second, the closing, after it.
        (DAY, at("2026-03-02 09:00"), at("2026-03-02 10:30")),
        (DAY, at("2026-03-02 20:59:59"), at("2026-03-02 20:59:59")),
        (DAY, at("2026-03-02 21:00"), at("2026-03-03 10:30")),
        (DAY, at("2026-03-02 21:30"), at("2026-03-03 10:30")),
        # The campaign's own end: at the opening, before it, and after it.
        (DAY | {"end_at": at("2026-03-03 10:30")}, at("2026-03-02 21:30"), "past-its-end"),
        (DAY | {"end_at": at("2026-03-03 09:00")}, at("2026-03-02 21:30"), "past-its-end"),
        (DAY | {"end_at": at("2026-03-03 10:31")}, at("2026-03-02 21:30"), at("2026-03-03 10:30")),
        ({"end_at": at("2026-03-02 12:00")}, at("2026-03-02 12:00"), "past-its-end"),
        # The start, and the hours at that moment.
        (DAY | NOT_STARTED | {"send_at": at("2026-03-04 12:00")}, at("2026-03-02 21:30"), at("2026-03-04 12:00")),
        (DAY | NOT_STARTED | {"send_at": at("2026-03-04 22:00")}, at("2026-03-02 21:30"), at("2026-03-05 10:30")),
        (
            DAY | NOT_STARTED | {"send_at": at("2026-03-04 22:00"), "end_at": at("2026-03-05 10:00")},
            at("2026-03-02 21:30"),
            "past-its-end",
        ),
        # The clocks jump over the opening, which moves to the end of the jump; and go back.
        (BERLIN, at("2026-03-28 22:00", "Europe/Berlin"), at("2026-03-29 03:00", "Europe/Berlin")),
        (BERLIN, at("2025-10-25 22:00", "Europe/Berlin"), at("2025-10-26 00:30", "UTC")),
        # What takes a person.
        (DAY | {"status": "paused"}, at("2026-03-02 21:30"), "paused"),
        (DAY | {"account__is_active": False}, at("2026-03-02 21:30"), "account-inactive"),
        (DAY | {"caller_id__is_active": False}, at("2026-03-02 21:30"), "caller-id-inactive"),
        ({"status": "completed", "ended_at": NOW}, at("2026-03-02 21:30"), "ended"),
    ],
)
def test_the_next_moment_at_which_it_is_open(columns, asked, opens):
    campaign = CampaignFactory(**RUNNING | {"end_at": None} | columns)
    answer = gate.next_open(campaign, asked)
    assert opens == (answer if isinstance(answer, datetime) else answer.code)
    if isinstance(answer, datetime) and campaign.status == "in-progress":
        assert isinstance(gate.check(campaign, answer), gate.Open)


def test_after_the_rest_of_a_trunk_the_hours_are_asked():
    health = TrunkHealthFactory(failures=2, down_since=NOW, resting_until=at("2026-03-02 21:00:20"))
    campaign = CampaignFactory(caller_id__trunk=health.trunk, **RUNNING | DAY)
    assert gate.next_open(campaign, at("2026-03-02 20:59:50")) == at("2026-03-03 10:30")


def test_a_trunk_that_is_down_keeps_its_error_for_the_operator():
    health = TrunkHealthFactory(
        failures=2, down_since=NOW - timedelta(minutes=5), resting_until=NOW + timedelta(seconds=8), last_error="503"
    )
    given = verdict(caller_id__trunk=health.trunk, caller_id__number="+918047113311")
    because = "the trunk of +918047113311 is down since 2026-03-02 11:25 IST"
    detail = f"{health.trunk.name}: 503"
    assert given == gate.NotBefore(health.resting_until, "trunk-down", because, detail=detail)


def test_after_its_rest_a_trunk_is_on_trial():
    health = TrunkHealthFactory(failures=2, down_since=NOW, resting_until=NOW - timedelta(seconds=1))
    assert verdict(caller_id__trunk=health.trunk) == gate.Open(on_trial=True)


class Read:
    """A campaign that notes what is read of it."""

    def __init__(self, campaign, read):
        self._campaign, self._read = campaign, read

    def __getattr__(self, name):
        self._read.add(name)
        return getattr(self._campaign, name)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"end_at": NOW},
        {"status": "paused"},
        {"status": "created", "started_at": None, "send_at": NOW + timedelta(hours=1)},
        {"caller_id__is_active": False},
        {"account__rules": ["us"], "rules": ["gone"]},
        DAY,
    ],
)
def test_campaigns_of_one_kind_agree_in_all_that_is_read_of_them(columns):
    campaign = CampaignFactory(**RUNNING | columns)
    judged: set[str] = set()
    told: set[str] = set()
    gate.check(Read(campaign, judged), NOW)
    gate.kind(Read(campaign, told), NOW)
    assert judged <= told | {"account"}
