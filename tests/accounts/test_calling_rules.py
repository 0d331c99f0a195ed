"""Rules for the people who are called: hours where they are, caps, quiet times, consent; the strictest decides."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import public_holidays
from accounts.calling_hours import parse_week
from accounts.calling_rules import FOREVER, NO_RULES, Cap, Rule, Rules, parse_cap, presets, rules_of, validate_name


@dataclass(frozen=True)
class At:
    zones: tuple[str, ...]
    country: str = ""
    region: str = ""


def of(*names: str, caps: tuple[str, ...] = (), gap: int = 0, campaign: Any = None) -> Rules:
    account = SimpleNamespace(rules=list(names), number_caps=list(caps), number_gap_seconds=gap)
    return rules_of(account, campaign)


def utc(wall: str, zone: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


PLACES = {
    "IN": At(("Asia/Kolkata",), "IN"),
    "FL": At(("America/New_York",), "US", "FL"),
    "AL": At(("America/Chicago",), "US", "AL"),
    "LA": At(("America/Chicago",), "US", "LA"),
    "OK": At(("America/Chicago",), "US", "OK"),
    "MD": At(("America/New_York",), "US", "MD"),
    "MA": At(("America/New_York",), "US", "MA"),
    "CT": At(("America/New_York",), "US", "CT"),
    "NV": At(("America/Los_Angeles",), "US", "NV"),
    "KY": At(("America/New_York",), "US", "KY"),
    "MI": At(("America/Detroit",), "US", "MI"),
    "MN": At(("America/Chicago",), "US", "MN"),
    "NM": At(("America/Denver",), "US", "NM"),
    "MS": At(("America/Chicago",), "US", "MS"),
    "WA": At(("America/Los_Angeles",), "US", "WA"),
    "WY": At(("America/Denver",), "US", "WY"),
    "TX": At(("America/Chicago",), "US", "TX"),
    "PA": At(("America/New_York",), "US", "PA"),
    "ME": At(("America/New_York",), "US", "ME"),
    "CA-ON": At(("America/Toronto",), "CA", "ON"),
    "FR": At(("Europe/Paris",), "FR"),
    "DE": At(("Europe/Berlin",), "DE"),
    "GB": At(("Europe/London",), "GB"),
    "AU": At(("Australia/Sydney",), "AU"),
    "AE": At(("Asia/Dubai",), "AE"),
}

WEEKDAY, SATURDAY, SUNDAY = "2026-12-02", "2026-12-05", "2026-12-06"

# Of each row: a preset, a place, and spans by the wall clock, on a Wednesday, a Saturday and a Sunday.
HOURS = [
    ("in-promotional", "IN", "09:00-21:00", "09:00-21:00", "09:00-21:00"),
    ("in-service", "IN", "09:00-21:00", "09:00-21:00", "09:00-21:00"),
    ("in-collections", "IN", "08:00-19:00", "08:00-19:00", "08:00-19:00"),
    ("us", "FL", "08:00-21:00", "08:00-21:00", "08:00-21:00"),
    ("us-live", "FL", "08:00-21:00", "08:00-21:00", "08:00-21:00"),
    *(("us-states", state, "08:00-20:00", "08:00-20:00", "") for state in ("AL", "LA", "MS")),
    *(("us-states", state, *["08:00-20:00"] * 3) for state in ("FL", "OK", "MD", "MA", "WA", "WY")),
    *(("us-states", state, *["09:00-20:00"] * 3) for state in ("CT", "NV")),
    ("us-states", "KY", *["10:00-21:00"] * 3),
    *(("us-states", state, *["09:00-21:00"] * 3) for state in ("MI", "MN", "NM")),
    ("us-states", "TX", "08:00-21:00", "08:00-21:00", "12:00-21:00"),
    ("us-states", "PA", "08:00-21:00", "08:00-21:00", ""),
    ("us-states", "ME", "09:00-17:00", "", ""),
    ("fr", "FR", "10:00-13:00 14:00-20:00", "", ""),
    ("ca", "CA-ON", "09:00-21:30", "10:00-18:00", "10:00-18:00"),
    ("au", "AU", "09:00-20:00", "09:00-17:00", ""),
    ("au-research", "AU", "09:00-20:30", "09:00-17:00", "09:00-17:00"),
    ("ae", "AE", "09:00-18:00", "09:00-18:00", "09:00-18:00"),
]
UNLIMITED = [("us-debt", "FL"), ("uk", "GB"), ("de", "DE")]


@pytest.mark.parametrize(("preset", "where", "weekday", "saturday", "sunday"), HOURS)
def test_hours_of_each_preset(preset, where, weekday, saturday, sunday):
    rules, place = of(preset), PLACES[where]
    for day, spans in ((WEEKDAY, weekday), (SATURDAY, saturday), (SUNDAY, sunday)):
        assert open_spans(rules, place, day) == spans.split()


def open_spans(rules: Rules, place: At, day: str) -> list[str]:
    """Return the spans of a day as a look at each half hour finds them."""
    start = utc(day, place.zones[0])
    walls = [f"{n // 2:02}:{n % 2 * 30:02}" for n in range(49)]
    is_open = [False, *(rules.is_open(place, start + timedelta(minutes=30 * n)) for n in range(48)), False]
    edges = [wall for wall, before, after in zip(walls, is_open, is_open[1:], strict=False) if before != after]
    return [f"{since}-{until}" for since, until in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize(("preset", "where"), UNLIMITED)
def test_presets_without_hours_are_open_day_and_night(preset, where):
    assert open_spans(of(preset), PLACES[where], SUNDAY) == ["00:00-24:00"]


def test_every_preset_has_a_test_of_its_hours():
    assert {row[0] for row in HOURS} | {preset for preset, _ in UNLIMITED} == set(presets())
    states = {state for rule in presets()["us-states"].rules for state in rule.regions}
    assert {row[1] for row in HOURS if row[0] == "us-states"} == states


@pytest.mark.parametrize(
    ("preset", "where", "caps", "quiet", "consent"),
    [
        ("in-promotional", "IN", [], {}, ""),
        ("in-service", "IN", [], {}, ""),
        ("in-collections", "IN", [], {}, ""),
        ("us", "FL", [], {}, "recorded-voice"),
        ("us-live", "FL", [], {}, ""),
        *(("us-states", state, ["3 attempts in 24 hours"], {}, "") for state in ("FL", "OK", "MD")),
        ("us-states", "MA", [], {}, ""),
        ("us-states", "ME", ["1 attempt in 8 hours"], {}, ""),
        ("us-debt", "FL", ["7 attempts in 7 days"], {"conversation": timedelta(days=7)}, ""),
        ("uk", "GB", [], {}, ""),
        ("fr", "FR", ["4 attempts in 30 days"], {"refusal": timedelta(days=60)}, "promotional"),
        ("de", "DE", [], {}, "recorded-voice"),
        ("ca", "CA-ON", [], {}, "recorded-voice"),
        ("au", "AU", [], {}, ""),
        ("au-research", "AU", [], {}, ""),
        ("ae", "AE", ["1 attempt in 24 hours", "2 attempts in 7 days"], {"refusal": FOREVER}, ""),
    ],
)
def test_caps_quiet_times_and_consent_of_each_preset(preset, where, caps, quiet, consent):
    rules = of(preset).to(PLACES[where], utc(WEEKDAY, "UTC"))
    assert list(rules.caps) == [parse_cap(cap) for cap in caps]
    assert rules.quiet_after == quiet
    assert rules.needs_consent == consent


@pytest.mark.parametrize("name", list(presets()))
def test_a_preset_says_where_it_is_from_and_holds_in_its_country_only(name):
    preset = presets()[name]
    assert preset.title
    assert preset.source
    assert date(2026, 1, 1) < preset.as_of
    elsewhere = At(("Asia/Tokyo",), "JP")
    rules = of(name)
    assert rules.next_open(elsewhere, utc("2026-12-06T03:00", "Asia/Tokyo")) == utc("2026-12-06T03:00", "Asia/Tokyo")
    narrowed = rules.to(elsewhere, utc(WEEKDAY, "UTC"))
    assert (narrowed.caps, narrowed.quiet_after, narrowed.needs_consent) == ((), {}, "")


# Dates ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "where", "at", "opens"),
    [
        # Thanksgiving and Christmas in Alabama; the 4th of July of 2027 is a Sunday, and observed on Monday.
        ("us-states", "AL", "2026-11-26T10:00", "2026-11-27T08:00"),
        ("us-states", "AL", "2026-12-25T10:00", "2026-12-26T08:00"),
        ("us-states", "LA", "2027-07-03T20:00", "2027-07-06T08:00"),
        # Not in a state whose rule knows no holidays.
        ("us-states", "FL", "2026-11-26T10:00", "2026-11-26T10:00"),
        ("fr", "FR", "2026-07-14T11:00", "2026-07-15T10:00"),  # Bastille Day, a Tuesday
        ("fr", "FR", "2026-12-04T20:00", "2026-12-07T10:00"),  # over the weekend
        ("fr", "FR", "2026-12-02T13:00", "2026-12-02T14:00"),  # lunch
        ("au", "AU", "2027-01-26T10:00", "2027-01-27T09:00"),  # Australia Day
        ("au", "AU", "2026-12-24T20:00", "2026-12-28T09:00"),  # Christmas, Boxing Day, Sunday
    ],
)
def test_nobody_is_called_on_holidays(preset, where, at, opens):
    zone = PLACES[where].zones[0]
    assert of(preset).next_open(PLACES[where], utc(at, zone)) == utc(opens, zone)


def test_a_rule_that_starts_later_holds_from_midnight_where_the_phone_is():
    """Pennsylvania: none on Sundays from 18 October 2026, which is one."""
    pennsylvania, rules = PLACES["PA"], of("us-states")
    week_before, that_day = utc("2026-10-11T10:00", "America/New_York"), utc("2026-10-18T00:00", "America/New_York")
    assert rules.next_open(pennsylvania, week_before) == week_before
    last = that_day - timedelta(seconds=1)
    assert rules.next_open(pennsylvania, last) == last
    assert rules.next_open(pennsylvania, that_day) == utc("2026-10-19T08:00", "America/New_York")


def test_consent_that_is_demanded_later_is_not_demanded_before():
    rules, france = of("fr"), PLACES["FR"]
    assert rules.to(france, utc("2026-08-10T23:59", "Europe/Paris")).needs_consent == ""
    assert rules.to(france, utc("2026-08-11T00:00", "Europe/Paris")).needs_consent == "promotional"


@pytest.mark.parametrize(
    ("zone", "at", "opens"),
    [
        ("Asia/Kolkata", "2028-02-29T08:59", "2028-02-29T09:00"),
        ("Asia/Kolkata", "2028-02-28T21:00", "2028-02-29T09:00"),
        ("Asia/Kathmandu", "2026-03-01T21:00", "2026-03-02T09:00"),  # UTC+5:45
        ("Australia/Lord_Howe", "2026-10-03T21:00", "2026-10-04T09:00"),  # by half an hour that night
        ("America/New_York", "2026-03-07T21:00", "2026-03-08T09:00"),  # clocks forward
        ("America/New_York", "2026-10-31T21:00", "2026-11-01T09:00"),  # clocks back
    ],
)
def test_days_of_every_length_open_by_the_wall_clock(zone, at, opens):
    rules = Rules((Rule("test", hours=parse_week("09:00-21:00")),))
    assert rules.next_open(At((zone,)), utc(at, zone)) == utc(opens, zone)


# Several at once -----------------------------------------------------------------------------------------------------


def test_a_call_is_made_where_the_hours_of_all_zones_overlap():
    east = "America/New_York"
    coasts, rules = At((east, "America/Los_Angeles"), "US"), of("us-live")
    assert rules.next_open(coasts, utc("2026-12-02T08:00", east)) == utc("2026-12-02T11:00", east)
    assert rules.next_open(coasts, utc("2026-12-02T21:00", east)) == utc("2026-12-03T11:00", east)


def test_without_an_overlap_there_is_never_a_call():
    apart = At(("Asia/Dubai", "Pacific/Honolulu"), "AE")
    assert of("ae").next_open(apart, utc(WEEKDAY, "UTC")) is None


def test_an_overlap_in_one_half_of_the_year_is_found():
    rules = Rules((Rule("test", hours=parse_week("08:00-09:00")),))
    place = At(("Europe/London", "Africa/Lagos"))  # the same clocks from March to October
    assert rules.next_open(place, utc("2026-12-02T08:00", "UTC")) == utc("2027-03-28T08:00", "Europe/London")


def test_the_stricter_of_two_sets_holds():
    rules = of("us", "us-states")
    assert open_spans(rules, PLACES["KY"], WEEKDAY) == ["10:00-21:00"]
    assert open_spans(rules, PLACES["WA"], WEEKDAY) == ["08:00-20:00"]
    assert rules.to(PLACES["KY"], utc(WEEKDAY, "UTC")).needs_consent == "recorded-voice"


def test_sets_of_several_countries_hold_each_in_its_own():
    rules = of("in-collections", "us-live")
    assert open_spans(rules, PLACES["IN"], WEEKDAY) == ["08:00-19:00"]
    assert open_spans(rules, PLACES["FL"], WEEKDAY) == ["08:00-21:00"]


def test_the_longest_quiet_time_and_all_consents_hold():
    day, week = timedelta(days=1), timedelta(days=7)
    first = Rule("a", quiet_after=(("conversation", day), ("refusal", week)), needs_consent="promotional")
    second = Rule("b", quiet_after=(("conversation", week),), needs_consent="recorded-voice")
    rules = Rules((first, second))
    assert rules.quiet_after == {"conversation": week, "refusal": week}
    assert rules.needs_consent == "all"


def test_a_phone_rings_for_fifteen_seconds_at_least_in_the_united_kingdom():
    assert (of("uk").rings_at_least, of("us").rings_at_least, of("us", "uk").rings_at_least) == (15, 0, 15)


def test_no_rules_ask_nothing():
    assert of() is NO_RULES
    assert not NO_RULES
    night = utc("2026-12-06T03:00", "Asia/Kolkata")
    assert NO_RULES.next_open(PLACES["IN"], night) == night


@pytest.mark.parametrize(("names", "caps", "gap"), [(["uk"], (), 0), ([], ("3 attempts in 1 day",), 0), ([], (), 60)])
def test_anything_that_was_set_is_asked_for(names, caps, gap):
    rules = of(*names, caps=caps, gap=gap)
    assert rules
    assert rules is of(*names, caps=caps, gap=gap)


def test_the_account_has_caps_and_a_gap_of_its_own():
    rules = of("us-debt", caps=("2 conversations in 7 days",), gap=900)
    assert rules.caps == (Cap(2, timedelta(days=7), "conversations"), Cap(7, timedelta(days=7), "attempts"))
    assert rules.gap == timedelta(minutes=15)


def test_a_campaign_adds_rules_and_an_operator_waives_some_of_the_accounts():
    adds = SimpleNamespace(rules=["us-states"], waived_rules=[])
    waives = SimpleNamespace(rules=["us-states"], waived_rules=["us", "us-states"])
    assert of("us", campaign=adds).names == ("us", "us-states")
    assert of("us", campaign=waives).names == ("us-states",)
    assert of(campaign=adds).names == ("us-states",)


@pytest.mark.parametrize("name", ["", "USA", "us ", "in"])
def test_an_unknown_set_is_refused_with_the_list_of_all(name):
    with pytest.raises(ValidationError) as refused:
        validate_name(name)
    assert all(known in refused.value.message for known in presets())


def test_hours_are_told_once_with_a_few_of_their_zones():
    four = At(("Australia/Sydney", "Australia/Perth", "Australia/Darwin", "Australia/Eucla"), "AU")
    assert of("au-research").hours_text(four) == (
        "Mon-Fri 09:00-20:30; Sat-Sun 09:00-17:00 Australia/Sydney, Australia/Perth, Australia/Darwin and 1 more"
    )
    assert of("us", "us-live").hours_text(PLACES["FL"]) == "08:00-21:00 America/New_York"
    assert of("us", "us-states").hours_text(PLACES["KY"]) == (
        "08:00-21:00 America/New_York and 10:00-21:00 America/New_York"
    )


# Caps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("3 attempts in 24 hours", Cap(3, timedelta(days=1))),
        ("1  attempt in 1 day", Cap(1, timedelta(days=1))),
        ("1 conversation in 7 days", Cap(1, timedelta(days=7), "conversations")),
        ("10 attempts in 90 minutes", Cap(10, timedelta(minutes=90))),
    ],
)
def test_caps_are_read_and_written(text, cap):
    assert parse_cap(text) == cap
    assert parse_cap(str(cap)) == cap


@pytest.mark.parametrize(
    "text", ["", "3", "3 attempts", "0 attempts in 1 day", "3 rings in 1 day", "3 attempts in a day"]
)
def test_what_is_no_cap_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="looks like"):
        parse_cap(text)


# A slow second implementation ----------------------------------------------------------------------------------------

ZONES = ["Asia/Kolkata", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
# Days on which clocks change somewhere, a leap day, and holidays.
DAYS = ["2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2028-02-29", "2026-12-25"]
WEEKS = [
    "09:00-21:00",
    "Mon-Fri 10:00-13:00, 14:00-20:00",
    "18:30-03:30",
    "Sun 00:30-02:30",
    "Sat-Mon 01:10-01:40; Tue 22:00-24:00",
]
# How far the slow look goes: after the moment, and before the opening.
LOOK = timedelta(hours=3)


def is_allowed(at: datetime, zone: str, week: str, holidays: str) -> bool:
    """Tell whether a minute is inside these hours, by its wall clock alone."""
    wall = at.astimezone(ZoneInfo(zone))
    today, yesterday = wall.date(), wall.date() - timedelta(days=1)

    def is_holiday(day: date) -> bool:
        return bool(holidays) and public_holidays.is_holiday(day, holidays)

    if is_holiday(today):
        return False
    spans = parse_week(week)
    clock = wall.time()
    for opens, closes in spans[today.weekday()]:
        if clock >= opens and (clock < closes or closes <= opens):
            return True
    tails = () if is_holiday(yesterday) else spans[yesterday.weekday()]
    return any(closes <= opens and clock < closes for opens, closes in tails)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(DAYS),
    st.integers(-36 * 60, 36 * 60),
    st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True),
    st.sampled_from(WEEKS),
    st.sampled_from(["", "US-AL"]),
)
def test_the_next_opening_is_the_first_minute_that_a_slow_look_finds(day, offset, zones, week, holidays):
    at = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=offset)
    country, _, region = holidays.partition("-")
    place = At(tuple(zones), country, region)
    rules = Rules((Rule("test", hours=parse_week(week), no_holidays=bool(holidays)),))
    found = rules.next_open(place, at)
    assert rules.is_open(place, at) == (found == at)
    assert found is None or all(is_allowed(found, zone, week, holidays) for zone in zones)
    for since, until in ((at, at + LOOK), (max(at, found - LOOK), found)) if found else ((at, at + 4 * LOOK),):
        minutes = (since + timedelta(minutes=n) for n in range(int((until - since) / timedelta(minutes=1))))
        assert not any(
            all(is_allowed(minute, zone, week, holidays) for zone in zones)
            for minute in minutes
            if found is None or minute < found
        )
