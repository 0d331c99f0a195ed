"""The hours in which people may be called: spans of each weekday on the clocks of one time zone, but for holidays."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from accounts import public_holidays

MIDNIGHT = time(0)
DAY = timedelta(days=1)
# How far an opening is looked for. Some zones have common hours in one half of the year only.
HORIZON_DAYS = 400
# Offsets of time zones are below this, and their clocks change less often than every few hours.
WIDEST_OFFSET, PROBED_EVERY = timedelta(hours=15), timedelta(hours=6)

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# From an opening to a closing time. A closing time that is not after the opening is on the next day.
Span = tuple[time, time]
Week = tuple[tuple[Span, ...], ...]
Moments = tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class CallingHours:
    """The spans [opens, closes) of each day. 00:00-00:00 is the whole day; 18:30-03:30 ends on the next one.

    Attributes:
        week: spans by weekday, from Monday on; without it, every day is open from `opens` to `closes`.
        holidays_of: calendars of `public_holidays`. On such a day nobody is called, nor in the hours after midnight of
            a span that begins on it.
        closed_on: other dates of that kind.
        starts: before this date it is always open.
    """

    opens: time
    closes: time
    zone: ZoneInfo
    week: Week | None = None
    holidays_of: tuple[str, ...] = ()
    closed_on: frozenset[date] = frozenset()
    starts: date | None = None

    def __hash__(self) -> int:
        """Hash once: the caches below ask for it with every question."""
        if "_hash" not in self.__dict__:
            parts = (self.opens, self.closes, self.zone.key, self.week, self.holidays_of, self.closed_on, self.starts)
            object.__setattr__(self, "_hash", hash(parts))
        known: int = self.__dict__["_hash"]
        return known

    def is_open(self, at: datetime) -> bool:
        wall = at.astimezone(self.zone).replace(tzinfo=None)
        return any(opens <= wall < closes for opens, closes in _wall_spans(self, wall.date()))

    def next_open(self, at: datetime) -> datetime:
        """Return the first moment (UTC) from `at` on at which the window is open: `at` itself where it is open then.

        Raises:
            ValueError: none within the horizon.
        """
        if opening := self.opening(at):
            return opening
        raise ValueError(f"the calling hours {self} never open")

    def opening(self, at: datetime) -> datetime | None:
        """Return what `next_open` does; None for none within the horizon."""
        if self.is_open(at):
            return at.astimezone(UTC)
        today = at.astimezone(self.zone).date()
        for days in range(HORIZON_DAYS):
            # Where clocks go back over midnight, a date comes again after the next one.
            near = (_open_moments(self, today + timedelta(days=days + next_day)) for next_day in (0, 1))
            found = [max(since, at) for moments in near for since, until in moments if until > at]
            if found:
                return min(found).astimezone(UTC)
        return None

    def open_since(self, at: datetime) -> datetime | None:
        """Return when the opening began that lasts at this moment, as far as yesterday; None where it is closed."""
        today = at.astimezone(self.zone).date()
        moments = sorted({*_open_moments(self, today - DAY), *_open_moments(self, today)}, reverse=True)
        began: datetime | None = None
        for since, until in moments:
            if since <= at < until or (began is not None and since < began <= until):
                began = since
        return began

    def is_closed_on(self, day: date) -> bool:
        return day in self.closed_on or any(public_holidays.is_holiday(day, calendar) for calendar in self.holidays_of)

    def spans_of(self, day: date) -> tuple[Span, ...]:
        """Return the spans that begin on this date."""
        if self.starts and day < self.starts:
            return ((MIDNIGHT, MIDNIGHT),)
        if self.is_closed_on(day):
            return ()
        return self.week[day.weekday()] if self.week else ((self.opens, self.closes),)

    @property
    def clock(self) -> str:
        """Write the hours without their zone."""
        return week_text(self.week) if self.week else _span_text((self.opens, self.closes))

    def __str__(self) -> str:
        return f"{self.clock} {self.zone.key}"


@lru_cache(maxsize=4096)
def _wall_spans(hours: CallingHours, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Return the spans of a date by the wall clock, with what is left of those of the evening before."""
    midnight = datetime.combine(day, MIDNIGHT)
    if hours.is_closed_on(day) and not (hours.starts and day < hours.starts):
        return ()
    evening = hours.spans_of(day - DAY) if not hours.starts or day > hours.starts else ()
    tails = [(midnight, datetime.combine(day, closes)) for opens, closes in evening if MIDNIGHT < closes <= opens]
    spans = [
        (datetime.combine(day, opens), datetime.combine(day, closes) if closes > opens else midnight + DAY)
        for opens, closes in hours.spans_of(day)
    ]
    return tuple(sorted(tails + spans))


@lru_cache(maxsize=4096)
def _open_moments(hours: CallingHours, day: date) -> Moments:
    """Return the moments (UTC) from which and until which it is open while the clocks show this date.

    Clocks that go back show an hour twice, and clocks that jump forward skip one: each span of the day is taken by
    each offset from UTC that holds on it.
    """
    found = []
    for opens, closes in _wall_spans(hours, day):
        for since, until, offset in _offsets(hours.zone, day):
            start = max(opens.replace(tzinfo=UTC) - offset, since)
            end = min(closes.replace(tzinfo=UTC) - offset, until)
            if start < end:
                found.append((start, end))
    return tuple(sorted(found))


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, day: date) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """Return the offsets from UTC of the zone around a date, each with the moments from and until which it holds."""
    midnight = datetime.combine(day, MIDNIGHT, UTC)
    since, end = midnight - WIDEST_OFFSET, midnight + DAY + WIDEST_OFFSET
    found, begun = [], since
    while since < end:
        until = min(since + PROBED_EVERY, end)
        if _offset(zone, since) != _offset(zone, until):
            change = _change(zone, since, until)
            found.append((begun, change, _offset(zone, since)))
            begun = change
        since = until
    return (*found, (begun, end, _offset(zone, begun)))


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the moment between the two at which the clocks change, to the second."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


# As texts ------------------------------------------------------------------------------------------------------------

_DAYS = re.compile(r"(?P<first>[A-Za-z]{3,})(?:-(?P<last>[A-Za-z]{3,}))?\s+(?P<spans>\S.*)")
_EXAMPLE = "Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00"


def parse_calling_hours(text: str) -> Span:
    """Return `10:30-21:00` as two times. `24:00` closes at the end of the day, and is midnight.

    `18:30-03:30` closes on the next day.

    Raises:
        ValueError: with a sentence for a person.
    """
    try:
        opens, closes = (part.strip() for part in text.split("-"))
        span = _time(opens), MIDNIGHT if closes == "24:00" else _time(closes)
    except ValueError as error:
        raise ValueError(f"calling hours look like 10:30-21:00 or 00:00-24:00, not {text!r}") from error
    if span[0] == span[1] != MIDNIGHT:
        raise ValueError(f"calling hours must not close when they open, unlike {text!r}; 00:00-24:00 is the whole day")
    return span


def _time(text: str) -> time:
    if not re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text):
        raise ValueError(text)
    return time.fromisoformat(text.rjust(5, "0"))


@lru_cache(maxsize=256)
def parse_week(text: str) -> Week:
    """Return the spans of each weekday: `Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00`.

    A weekday that is not named is closed. Hours without a day, such as `08:00-21:00`, are those of every day.

    Raises:
        ValueError: with a sentence for a person.
    """
    week: dict[int, tuple[Span, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        named = _DAYS.fullmatch(part)
        days = _days(named["first"], named["last"]) if named else list(range(7))
        spans = (named["spans"] if named else part).split(",")
        for day in days:
            if day in week:
                raise ValueError(f"{WEEKDAYS[day]} has its hours twice in {text!r}; write them with a comma between")
            week[day] = tuple(sorted(parse_calling_hours(span.strip()) for span in spans))
    if not week:
        raise ValueError(f"hours of a week look like {_EXAMPLE}, not {text!r}")
    return _without_overlap(tuple(week.get(day, ()) for day in range(7)), text)


def _days(first: str, last: str | None) -> Iterable[int]:
    known = {name.lower(): place for place, name in enumerate(WEEKDAYS)}
    places = []
    for name in (first, last or first):
        short = name[:3].lower()
        if short not in known:
            raise ValueError(f"{name} is not a day; hours of a week look like {_EXAMPLE}")
        places.append(known[short])
    since, until = places
    return (day % 7 for day in range(since, until + (7 if until < since else 0) + 1))


def _without_overlap(week: Week, text: str) -> Week:
    for day, spans in enumerate(week):
        ends = [time.max if closes <= opens else closes for opens, closes in spans]
        if any(end > later[0] for end, later in zip(ends, spans[1:], strict=False)):
            raise ValueError(f"the hours of {WEEKDAYS[day]} overlap in {text!r}")
    return week


def week_text(week: Week) -> str:
    """Write the week as `parse_week` reads it, days with the same hours together."""
    return "; ".join(_parts(week)) if len(set(week)) > 1 else _spans_text(week[0])


def _parts(week: Week) -> Iterator[str]:
    day = 0
    while day < len(week):
        last = day
        while last + 1 < len(week) and week[last + 1] == week[day]:
            last += 1
        if week[day]:
            name = WEEKDAYS[day] if last == day else f"{WEEKDAYS[day]}-{WEEKDAYS[last]}"
            yield f"{name} {_spans_text(week[day])}"
        day = last + 1


def _spans_text(spans: Iterable[Span]) -> str:
    return ", ".join(map(_span_text, spans))


def _span_text(span: Span) -> str:
    opens, closes = span
    return f"{opens:%H:%M}-{'24:00' if closes == MIDNIGHT else closes.strftime('%H:%M')}"
