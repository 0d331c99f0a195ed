"""Calling hours: 10:30-21:00 on the clocks of the account's zone, also on the days on which these change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.calling_hours import CallingHours, parse_calling_hours

KOLKATA = ZoneInfo("Asia/Kolkata")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = ["Asia/Kolkata", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]

INDIA = CallingHours(time(10, 30), time(21), KOLKATA)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ("10:29:59.999999", False),
        ("10:30:00", True),
        ("20:59:59.999999", True),
        ("21:00:00", False),
        ("03:00:00", False),
    ],
)
def test_opening_counts_and_closing_does_not(local, is_open):
    at = datetime.fromisoformat(f"2026-03-02T{local}").replace(tzinfo=KOLKATA)
    assert INDIA.is_open(at.astimezone(UTC)) is is_open


def test_hours_are_those_of_the_accounts_zone_not_of_the_server():
    ten_at_night_in_india = utc("2026-03-02T16:30")
    assert not INDIA.is_open(ten_at_night_in_india)
    assert CallingHours(time(10, 30), time(21), NEW_YORK).is_open(ten_at_night_in_india)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-03-02T04:59", "2026-03-02T05:00"),  # 10:29 IST: in a minute
        ("2026-03-02T06:00", "2026-03-02T06:00"),  # 11:30 IST: now
        ("2026-03-02T15:30", "2026-03-03T05:00"),  # 21:00 IST: tomorrow
        ("2026-03-02T20:00", "2026-03-03T05:00"),  # 01:30 IST on the 3rd: that morning
    ],
)
def test_next_opening(at, opens):
    assert INDIA.next_open(utc(at)) == utc(opens)


def test_midnight_to_midnight_never_closes():
    always = CallingHours(*parse_calling_hours("00:00-24:00"), KOLKATA)
    assert all(always.is_open(utc("2026-03-02T00:00") + timedelta(minutes=7 * n)) for n in range(400))


def test_opening_skipped_by_the_clocks_is_when_they_have_jumped():
    """On 8 March 2026 New York's clocks jump from 02:00 to 03:00, and never show 02:30."""
    hours = CallingHours(time(2, 30), time(6), NEW_YORK)
    assert hours.next_open(utc("2026-03-08T05:00")) == utc("2026-03-08T07:00")  # 03:00 EDT


def test_opening_shown_twice_counts_both_times():
    """On 1 November 2026 it is 01:30 at 05:30 UTC and again an hour later; between them 01:10 is before the opening."""
    hours = CallingHours(time(1, 30), time(6), NEW_YORK)
    assert hours.next_open(utc("2026-11-01T05:00")) == utc("2026-11-01T05:30")
    assert hours.next_open(utc("2026-11-01T06:10")) == utc("2026-11-01T06:30")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 10.5), ("2026-11-01", 10.5), ("2026-07-01", 10.5)])
def test_a_day_with_a_clock_change_has_its_usual_window(day, hours):
    window = CallingHours(time(10, 30), time(21), NEW_YORK)
    start = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK).astimezone(UTC)
    minutes = sum(window.is_open(start + timedelta(minutes=n)) for n in range(23 * 60))
    assert minutes == hours * 60


moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
minutes = st.integers(0, 24 * 60 - 1)


@given(moments, st.sampled_from(ZONES), minutes, minutes)
def test_next_opening_is_open_and_the_first_such_minute(at, zone, opens, closes):
    opens, closes = sorted((opens, closes))
    if opens == closes:
        closes = 0
    hours = CallingHours(time(*divmod(opens, 60)), time(*divmod(closes, 60)), ZoneInfo(zone))
    found = hours.next_open(at)
    assert hours.is_open(found)
    assert found >= at
    before = found - timedelta(microseconds=1)
    assert before < at or not hours.is_open(before)
    quarter = timedelta(minutes=15)
    steps = int((found - at) / quarter)
    assert not any(hours.is_open(at + n * quarter) for n in range(steps))


@pytest.mark.parametrize("text", ["", "10:30", "10:30-10:30", "25:00-26:00", "ten-nine", "10:30-24:01"])
def test_hours_that_make_no_sense_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match="calling hours"):
        parse_calling_hours(text)
