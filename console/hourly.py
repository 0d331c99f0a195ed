"""What the tally by hour tells of an account: when people answer, outcomes by day, short calls, campaigns compared.

Each report is one query over sums, however many calls there were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from django.db.models import QuerySet, Sum
from django.db.models.functions import ExtractHour, ExtractIsoWeekDay, TruncDate

from accounts.models import Account, CallerId
from campaigns.models import Campaign, Outcome
from console.stops import Accounts, of_accounts
from dialer.models import HourTally

# Days that one page shows, and those that it begins with.
MOST_DAYS, USUAL_DAYS = 366, 28
# Fewer calls than these in a cell say nothing about an answer rate.
FEWEST_CALLS = 10
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
OUTCOMES = (Outcome.COMPLETED, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED)


@dataclass(frozen=True)
class Days:
    """A range of days by the account's clock, both included."""

    first: date
    last: date

    @classmethod
    def until(cls, last: date) -> "Days":
        return cls(last - timedelta(days=USUAL_DAYS - 1), last)

    @property
    def dates(self) -> list[date]:
        return [self.first + timedelta(days=day) for day in range((self.last - self.first).days + 1)]


@dataclass(frozen=True)
class Scope:
    """Whose calls are shown: an account's, on some days, over one caller ID or all."""

    account: Account
    days: Days
    caller_id: CallerId | None = None

    @property
    def rows(self) -> QuerySet[HourTally]:
        zone = self.account.zone
        first = datetime.combine(self.days.first, time.min, zone)
        end = datetime.combine(self.days.last + timedelta(days=1), time.min, zone)
        rows = HourTally.objects.filter(account_id=self.account.pk, hour__gte=first, hour__lt=end)
        return rows.filter(caller_id_id=self.caller_id.pk) if self.caller_id else rows


@dataclass
class Counted:
    """Ended calls by their outcome."""

    by_outcome: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: str, attempts: int) -> None:
        self.by_outcome[outcome] = self.by_outcome.get(outcome, 0) + attempts

    def count(self, outcome: str) -> int:
        return self.by_outcome.get(outcome, 0)

    @property
    def calls(self) -> int:
        return sum(self.by_outcome.values())

    @property
    def answered(self) -> int:
        return self.count(Outcome.COMPLETED)

    @property
    def rate(self) -> float | None:
        return self.answered / self.calls if self.calls else None


class Cell(Counted):
    """Calls of one hour of one weekday."""

    @property
    def level(self) -> int | None:
        """Return the fifth of the answer rate, from 0 to 4; None where too few calls say nothing."""
        return None if self.rate is None or self.calls < FEWEST_CALLS else min(4, int(self.rate * 5))


@dataclass(frozen=True)
class Map:
    """Answers by weekday and hour. hours: those in which there was any call, and all between them."""

    hours: Sequence[int]
    rows: Sequence[tuple[str, Sequence[tuple[int, Cell]]]]

    @property
    def best(self) -> tuple[str, int, Cell] | None:
        """Return weekday, hour and cell with the highest answer rate, of those that say something."""
        known = [(name, hour, cell) for name, cells in self.rows for hour, cell in cells if cell.level is not None]
        return max(known, key=lambda one: (one[2].rate or 0, one[2].calls), default=None)


@dataclass(frozen=True)
class Line:
    """One caller ID, or one campaign.

    Attributes:
        short: answered calls of less than six seconds.
        timed: answered calls whose duration is known.
        seconds: talked in all.
    """

    name: str
    counted: Counted
    short: int
    timed: int
    seconds: int
    by_number: Mapping[int, Counted] = field(default_factory=dict)

    @property
    def short_share(self) -> float | None:
        return self.short / self.timed if self.timed else None

    @property
    def mean_seconds(self) -> float | None:
        return self.seconds / self.timed if self.timed else None


def answer_map(scope: Scope) -> Map:
    """Count by weekday and hour of the account's clock."""
    zone = scope.account.zone
    sums = (
        scope.rows.annotate(weekday=ExtractIsoWeekDay("hour", tzinfo=zone), of_day=ExtractHour("hour", tzinfo=zone))
        .values_list("weekday", "of_day", "outcome")
        .annotate(Sum("attempts"))
    )
    cells: dict[tuple[int, int], Cell] = {}
    for weekday, hour, outcome, attempts in sums:
        cells.setdefault((weekday, hour), Cell()).add(outcome, attempts)
    called = [hour for (_, hour), cell in cells.items() if cell.calls]
    hours = range(min(called), max(called) + 1) if called else range(0)
    rows = [
        (name, [(hour, cells.get((weekday, hour), Cell())) for hour in hours])
        for weekday, name in enumerate(WEEKDAYS, start=1)
    ]
    return Map(hours, rows)


def since_midnight(accounts: Accounts, now: datetime, zone: tzinfo) -> Counted:
    """Count what was called today and has ended, by the clock of a zone, of some accounts together."""
    midnight = datetime.combine(now.astimezone(zone).date(), time.min, zone)
    own = of_accounts(Account.objects.all(), accounts, "pk")
    rows = HourTally.objects.filter(account_id__in=own.values("pk"), hour__gte=midnight)
    counted = Counted()
    for outcome, attempts in rows.values_list("outcome").annotate(Sum("attempts")):
        counted.add(outcome, attempts)
    return counted


def by_day(scope: Scope) -> list[tuple[date, Counted]]:
    """Count by day, those without a call included."""
    sums = (
        scope.rows.annotate(day=TruncDate("hour", tzinfo=scope.account.zone))
        .values_list("day", "outcome")
        .annotate(Sum("attempts"))
    )
    days = {day: Counted() for day in scope.days.dates}
    for day, outcome, attempts in sums:
        days[day].add(outcome, attempts)
    return list(days.items())


def by_caller_id(scope: Scope) -> list[Line]:
    """Count by caller ID, the one with the largest share of short calls first."""
    lines = _lines(scope.rows, "caller_id_id")
    numbers = dict(CallerId.objects.filter(pk__in=lines).values_list("pk", "number"))
    named = [_line(numbers.get(pk, "a deleted one"), sums) for pk, sums in lines.items()]
    return sorted(named, key=lambda line: (-(line.short_share or 0), line.name))


def of_campaigns(account: Account, campaigns: Iterable[Campaign]) -> list[Line]:
    """Count for campaigns of the account, over all of their days, also by the number of the attempt."""
    chosen = list(campaigns)
    rows = HourTally.objects.filter(account_id=account.pk, campaign_id__in=[campaign.pk for campaign in chosen])
    lines = _lines(rows, "campaign_id")
    return [_line(campaign.name, lines.get(campaign.pk, [])) for campaign in chosen]


# Outcome, number of the attempt, lower bound of its talk; then attempts and seconds.
_Sums = list[tuple[str, int, int | None, int, int]]


def _lines(rows: QuerySet[HourTally], key: str) -> dict[Any, _Sums]:
    sums = rows.values_list(key, "outcome", "number", "talk_from").annotate(Sum("attempts"), Sum("seconds"))
    lines: dict[Any, _Sums] = {}
    for one, *row in sums:
        lines.setdefault(one, []).append((row[0], row[1], row[2], row[3], row[4]))
    return lines


def _line(name: str, sums: _Sums) -> Line:
    counted, by_number = Counted(), dict[int, Counted]()
    for outcome, number, _, attempts, _ in sums:
        counted.add(outcome, attempts)
        by_number.setdefault(number, Counted()).add(outcome, attempts)
    timed = [(talk_from, attempts, seconds) for _, _, talk_from, attempts, seconds in sums if talk_from is not None]
    return Line(
        name,
        counted,
        short=sum(attempts for talk_from, attempts, _ in timed if talk_from == 0),
        timed=sum(attempts for _, attempts, _ in timed),
        seconds=sum(seconds for _, _, seconds in timed),
        by_number=dict(sorted(by_number.items())),
    )


def campaigns_of(account: Account, most: int) -> QuerySet[Campaign]:
    """Return the campaigns of the account that started last, to choose from."""
    started = Campaign.objects.filter(account=account, started_at__isnull=False)
    return started.order_by("-started_at", "pk")[:most]
