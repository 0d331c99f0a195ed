"""Calling hours: 10:30-21:00 on the clocks of the account's zone, also on the days on which these change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from accounts import public_holidays
from accounts.calling_hours import CallingHours, parse_calling_hours, parse_week, week_text
from tests.factories import AccountFactory

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


# Weeks, nights and holidays -----------------------------------------------------------------------------------------

NIGHT = CallingHours(time(18, 30), time(3, 30), KOLKATA)


@pytest.mark.parametrize(
    ("wall", "is_open"),
    [
        ("2026-03-02T18:29", False),
        ("2026-03-02T18:30", True),
        ("2026-03-02T23:59", True),
        ("2026-03-03T00:00", True),
        ("2026-03-03T03:29", True),
        ("2026-03-03T03:30", False),
    ],
)
def test_hours_across_midnight(wall, is_open):
    at = datetime.fromisoformat(wall).replace(tzinfo=KOLKATA)
    assert NIGHT.is_open(at) is is_open
    assert (NIGHT.next_open(at) == at) is is_open
    assert str(NIGHT) == "18:30-03:30 Asia/Kolkata"


def test_a_night_belongs_to_the_day_on_which_it_begins():
    fridays = CallingHours(time(0), time(0), KOLKATA, parse_week("Fri 18:30-03:30"))
    friday = datetime(2026, 3, 6, 18, 30, tzinfo=KOLKATA)
    assert fridays.is_open(friday + timedelta(hours=8, minutes=59))
    assert not fridays.is_open(friday + timedelta(hours=9))
    assert not fridays.is_open(friday - timedelta(hours=16))  # early on Friday: Thursday's night
    assert fridays.next_open(friday + timedelta(hours=9)) == friday + timedelta(days=7)


def test_a_holiday_closes_its_day_and_the_night_that_begins_on_it():
    """Republic Day, Monday 26 January 2026."""
    hours = CallingHours(time(18, 30), time(3, 30), KOLKATA, holidays_of=("IN",))
    midnight = datetime(2026, 1, 26, tzinfo=KOLKATA)
    assert hours.is_open(midnight - timedelta(minutes=1))
    assert not hours.is_open(midnight)
    assert not hours.is_open(midnight + timedelta(hours=19))
    assert not hours.is_open(midnight + timedelta(hours=25))
    assert hours.next_open(midnight) == midnight + timedelta(hours=42, minutes=30)


def test_dates_of_the_accounts_own_are_closed():
    hours = CallingHours(time(10, 30), time(21), KOLKATA, closed_on=frozenset({date(2026, 12, 24), date(2026, 12, 25)}))
    assert hours.next_open(utc("2026-12-23T16:00")) == datetime(2026, 12, 26, 10, 30, tzinfo=KOLKATA)


def test_an_account_with_hours_by_weekday(db):
    account = AccountFactory(weekly_hours="Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00", holidays_of=["IN"])
    account.full_clean()
    account.refresh_from_db()
    saturday = datetime(2026, 3, 7, 17, 0, tzinfo=KOLKATA)
    assert account.calling_hours.next_open(saturday) == datetime(2026, 3, 9, 10, 0, tzinfo=KOLKATA)
    assert str(account.calling_hours) == "Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00 Asia/Kolkata"


def test_when_the_present_opening_began():
    always = CallingHours(time(0), time(0), KOLKATA)
    morning = datetime(2026, 3, 3, 2, 0, tzinfo=KOLKATA)
    assert NIGHT.open_since(morning) == datetime(2026, 3, 2, 18, 30, tzinfo=KOLKATA)
    assert always.open_since(morning) == datetime(2026, 3, 2, 0, 0, tzinfo=KOLKATA)
    assert NIGHT.open_since(morning + timedelta(hours=3)) is None


@pytest.mark.parametrize(
    "text",
    ["10:30-21:00", "Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00", "Mon-Tue 18:30-03:30; Sat-Sun 00:00-24:00"],
)
def test_weeks_are_read_and_written(text):
    assert week_text(parse_week(text)) == text


def test_weeks_are_read_as_people_write_them():
    assert parse_week("saturday-monday 9:00-17:00") == parse_week("Mon 09:00-17:00; Sat-Sun 09:00-17:00")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "hours of a week look like"),
        ("Mon", "calling hours look like"),
        ("Mon-Fri", "calling hours look like"),
        ("Foo 10:00-13:00", "Foo is not a day"),
        ("Mon 10:00-13:00; Mon-Tue 14:00-15:00", "Mon has its hours twice"),
        ("Mon 10:00-13:00, 12:00-15:00", "the hours of Mon overlap"),
        ("Mon 18:30-03:30, 20:00-21:00", "the hours of Mon overlap"),
    ],
)
def test_weeks_that_make_no_sense_are_refused_with_an_example(text, says):
    with pytest.raises(ValueError, match=says):
        parse_week(text)


@pytest.mark.parametrize("calendar", ["XX", "IN-XX", "india", ""])
def test_an_unknown_calendar_of_holidays_is_refused(calendar):
    with pytest.raises(ValidationError, match="not a calendar of public holidays"):
        public_holidays.validate_calendar(calendar)


def test_holidays_by_state():
    """Pongal is a holiday in Tamil Nadu alone."""
    pongal = date(2026, 1, 14)
    assert [public_holidays.is_holiday(pongal, calendar) for calendar in ("IN", "IN-TN")] == [False, True]
    assert public_holidays.of_year("IN", 2026) < public_holidays.of_year("IN-TN", 2026)
