"""What came of a campaign's attempts: by hour, by attempt number, by the keys pressed, by the length of the talk."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, Sum

from campaigns.models import Campaign, Outcome
from console import key_meanings
from dialer.hour_tally import MORE_KEYS, TALK_BOUNDS
from dialer.models import HourTally

# Bars of a chart by the hour. A campaign that has called for more of them is shown by the day.
MOST_HOURS = 72
# Kinds of keys that are shown, the most frequent first.
MOST_KEYS = 20


@dataclass(frozen=True)
class Span:
    """An hour or a day, by the clock of the account, with the ends of its attempts by outcome."""

    label: str
    ends: Mapping[str, int]

    @property
    def attempts(self) -> int:
        return sum(self.ends.values())

    @property
    def reached(self) -> int:
        return self.ends.get(Outcome.COMPLETED, 0)

    @property
    def busy(self) -> int:
        return self.ends.get(Outcome.BUSY, 0)

    @property
    def no_answer(self) -> int:
        return self.ends.get(Outcome.NO_ANSWER, 0)

    @property
    def failed(self) -> int:
        return self.ends.get(Outcome.FAILED, 0)


@dataclass(frozen=True)
class Try:
    """The attempts with one number: the first ones, the second ones, …"""

    number: int
    attempts: int
    reached: int

    @property
    def rate(self) -> float:
        return self.reached / self.attempts if self.attempts else 0.0


@dataclass(frozen=True)
class Keys:
    """How often keys were pressed, and what they lead to; "" where the flow does not say."""

    keys: str
    count: int
    meaning: str


@dataclass(frozen=True)
class Talk:
    """How many talks lasted so long."""

    label: str
    count: int


@dataclass(frozen=True)
class Figures:
    """Attributes:
    by_day: whether the spans are days.
    pressed_nothing: people who were reached and pressed no key.
    """

    spans: list[Span]
    by_day: bool
    tries: list[Try]
    pressed: list[Keys]
    pressed_nothing: int
    talks: list[Talk]
    seconds: int

    @property
    def attempts(self) -> int:
        return sum(one.attempts for one in self.tries)

    @property
    def reached(self) -> int:
        return sum(one.reached for one in self.tries)

    @property
    def average_talk(self) -> float | None:
        """Seconds, of the talks whose length is known."""
        known = sum(talk.count for talk in self.talks)
        return self.seconds / known if known else None


def of_campaign(campaign: Campaign) -> Figures:
    """Read the figures, in five queries. The account and the flow must be loaded."""
    rows = HourTally.objects.filter(campaign_id=campaign.pk)
    reached = rows.filter(outcome=Outcome.COMPLETED)
    hours = _summed(rows, "hour", "outcome")
    by_day = len({hour for hour, _ in hours}) > MOST_HOURS
    keys = {digits: count for (digits,), count in _summed(reached, "digits").items() if count}
    talks = _summed(reached.exclude(talk_from=None), "talk_from")
    return Figures(
        spans=_spans(hours, campaign, by_day=by_day),
        by_day=by_day,
        tries=_tries(_summed(rows, "number", "outcome")),
        pressed=_pressed(keys, campaign),
        pressed_nothing=keys.get("", 0),
        talks=[Talk(_talk_label(bound), talks.get((bound,), 0)) for bound in TALK_BOUNDS] if talks else [],
        seconds=reached.exclude(talk_from=None).aggregate(sum=Sum("seconds"))["sum"] or 0,
    )


def _summed(rows: "QuerySet[HourTally]", *columns: str) -> dict[Any, int]:
    """Sum the attempts up by these columns."""
    summed = rows.order_by().values_list(*columns).annotate(Sum("attempts"))
    return {tuple(kind): count for *kind, count in summed}


def _spans(hours: "Mapping[tuple[datetime, str], int]", campaign: Campaign, *, by_day: bool) -> list[Span]:
    zone = campaign.account.zone
    form = "%Y-%m-%d" if by_day else "%Y-%m-%d %H:%M"
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for (hour, outcome), count in sorted(hours.items()):
        ends[hour.astimezone(zone).strftime(form)][outcome] += count
    return [Span(label, counted) for label, counted in ends.items() if sum(counted.values())]


def _tries(counts: "Mapping[tuple[int, str], int]") -> list[Try]:
    numbers = sorted({number for number, _ in counts})
    sums = {number: sum(count for (of, _), count in counts.items() if of == number) for number in numbers}
    return [Try(number, sums[number], counts.get((number, Outcome.COMPLETED), 0)) for number in numbers if sums[number]]


def _pressed(counts: Mapping[str, int], campaign: Campaign) -> list[Keys]:
    meanings = key_meanings.of_campaign(campaign)
    most_first = sorted(((count, keys) for keys, count in counts.items() if keys), key=lambda one: (-one[0], one[1]))
    told = [Keys(keys, count, meanings.get(keys, "")) for count, keys in most_first[:MOST_KEYS]]
    return [Keys("more than three keys", one.count, "") if one.keys == MORE_KEYS else one for one in told]


def _talk_label(bound: int) -> str:
    after = TALK_BOUNDS.index(bound) + 1
    if after == len(TALK_BOUNDS):
        return f"{bound} s and more"
    return f"under {TALK_BOUNDS[after]} s" if not bound else f"{bound} to {TALK_BOUNDS[after] - 1} s"
