"""What is to be expected of a campaign: how much of it fits before its end, and how it would go."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from dialer.rehearsal.callees import DEFAULT, Callees
from dialer.rehearsal.setting import Setting
from dialer.rehearsal.simulation import HOUR, Course, Simulation

# How much more or less often people may answer than expected, for the range of the end.
SPREAD = 0.15
# People in each of the rehearsals that only tell the range.
FOR_THE_RANGE = 5_000
# People in a forecast, which a request waits for: about a tenth of a second.
FOR_A_FORECAST = 2_000


@dataclass(frozen=True)
class Kept:
    """People who are never called: how many, the rule that keeps them, and the first of them."""

    code: str
    count: int
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What fits.

    Attributes:
        numbers: that are left to call. fits: of these, those that are called before the end.
        ends_at: the end of the campaign. finishes_at: when the last call would end, had it no end; None: never.
        kept: those that rules keep from being called.
        summary: the sentence for people.
    """

    numbers: int
    fits: int
    ends_at: datetime
    finishes_at: datetime | None
    kept: tuple[Kept, ...]
    summary: str

    @property
    def canceled(self) -> int:
        """Return how many are not called before the end."""
        return self.numbers - self.fits


@dataclass(frozen=True)
class InAnHour:
    """An hour of a rehearsal: attempts that start in it, and channels in use: on average, and the most at once."""

    begins_at: datetime
    starts: int
    channels: float
    peak: int


@dataclass(frozen=True)
class Rehearsal:
    """How a campaign would go.

    Attributes:
        earliest, latest: the range in which it finishes; None: never.
        days: attempts by the account's own days. spills_to: the first day after the end on which calls would be left.
        attempts: by outcome.
    """

    forecast: Forecast
    earliest: datetime | None
    latest: datetime | None
    attempts: Mapping[str, int]
    hours: tuple[InAnHour, ...]
    days: Mapping[date, int]
    spills_to: date | None
    callees: Callees


def forecast(setting: Setting, callees: Callees = DEFAULT) -> Forecast:
    """Tell how much of a campaign fits before its end."""
    setting = setting.thinned(FOR_A_FORECAST)
    course, never, shown = _run(setting, callees, seed=1)
    return _forecast(setting, course, never, shown)


def rehearse(setting: Setting, callees: Callees = DEFAULT, *, seed: int = 1) -> Rehearsal:
    """Let a campaign happen over a virtual clock: once as expected, and thinned out for the range of its end."""
    course, never, shown = _run(setting, callees, seed)
    found = _forecast(setting, course, never, shown)
    thin = setting.thinned(FOR_THE_RANGE)
    ends = [_finish(_run(thin, callees.answering(1 + sign * SPREAD), seed + 1)[0]) for sign in (-1, 0, 1)]
    ends.append(found.finishes_at)
    known = [end for end in ends if end]
    zone, every = setting.account.zone, setting.every
    hours = _hours(course, every)
    days = Counter[date]()
    for hour in hours:
        days[hour.begins_at.astimezone(zone).date()] += hour.starts
    late = [hour.begins_at.astimezone(zone).date() for hour in hours if hour.begins_at >= found.ends_at and hour.starts]
    return Rehearsal(
        found,
        min(known, default=None),
        max(known, default=None) if None not in ends else None,
        {outcome: many * every for outcome, many in course.outcomes.items()},
        hours,
        dict(days),
        min(late, default=None),
        callees,
    )


def _run(setting: Setting, callees: Callees, seed: int) -> tuple[Course, "Counter[str]", dict[str, list[str]]]:
    account, staged, never, shown = setting.staged()
    courses = Simulation(account, staged, callees, seed=seed, now=setting.now, every=setting.every).run()
    return courses[0], never, shown


def _finish(course: Course) -> datetime | None:
    return datetime.fromtimestamp(course.ended[-1][0], UTC) if course.ended else None


def _hours(course: Course, every: int) -> tuple[InAnHour, ...]:
    hours = sorted({*course.starts, *course.held})
    return tuple(
        InAnHour(
            datetime.fromtimestamp(hour * HOUR, UTC),
            course.starts[hour] * every,
            round(course.held[hour] / HOUR, 1),
            course.peak[hour],
        )
        for hour in hours
    )


def _forecast(setting: Setting, course: Course, never: "Counter[str]", shown: Mapping[str, list[str]]) -> Forecast:
    total, ends_at = setting.people, setting.campaign.expires_at
    scale = total / max(len(setting.waiting), 1)
    tried = sum(1 for at in course.first_tries if at < ends_at.timestamp())
    waiting = sum(1 for one in setting.waiting if one.attempts)
    fits = min(total, round((tried + waiting) * scale))
    kept = never + course.left
    numbers = {code: tuple((shown.get(code) or course.left_numbers.get(code, []))[:20]) for code in kept}
    finishes = _finish(course)
    rules = tuple(Kept(code, round(many * scale), numbers[code]) for code, many in kept.most_common())
    return Forecast(total, fits, ends_at, finishes, rules, _sentence(setting, total, fits, finishes, rules))


def _sentence(setting: Setting, total: int, fits: int, finishes: datetime | None, kept: tuple[Kept, ...]) -> str:
    """Say it: `3,900 of 5,000 fit before 2026-03-02 18:00 IST; the rest will be canceled`."""
    zone, ends_at = setting.account.zone, setting.campaign.expires_at
    until = f"{ends_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    about = "about " if setting.every > 1 else ""
    if not total:
        return "no number is left to call"
    if fits == 0:
        said = f"none of {total:,} can be called before {until}; all will be canceled"
    elif fits < total:
        said = f"{about}{fits:,} of {total:,} fit before {until}; the rest will be canceled"
    else:
        said = f"all {total:,} fit before {until}"
    if finishes and finishes < ends_at and fits == total:
        said += f"; the last call ends about {finishes.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    return "; ".join([said, *(f"{one.count:,} are kept by {one.code}" for one in kept)])
