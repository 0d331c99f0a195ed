"""A model of the people who are called: how likely they answer, and how long that takes.

By default it is that of many campaigns. `learnt` bends it to what an account has seen: with few attempts a little, with
thousands altogether.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from django.db import connection

from accounts.models import Account
from campaigns.models import Outcome

# How likely a person answers the first attempt, by the hour where the account is; outside of them as in the last.
_BY_HOUR = (0.20,) * 8 + (
    0.30,
    0.34,
    0.37,
    0.38,
    0.38,
    0.35,
    0.34,
    0.35,
    0.37,
    0.40,
    0.42,
    0.42,
    0.38,
    0.32,
    0.25,
    0.20,
)
# What is left of that in later attempts: who answers easily has answered.
_BY_ATTEMPT = (1.0, 0.75, 0.6, 0.5)
# Attempts that weigh as much as the default.
_WEIGHT = 50
# The latest attempts of an account that are looked at.
_MOST = 50_000
MOST_ATTEMPTS = 4


class Ring(NamedTuple):
    """What comes of an attempt: its outcome, and the seconds for which it keeps a channel."""

    outcome: str
    seconds: float
    talk: float


@dataclass(frozen=True)
class Callees:
    """How people behave.

    Attributes:
        answers: how likely they answer the first attempt, for each hour of the day.
        by_attempt: what that is multiplied by, from the first attempt on.
        busy, failed: shares of the attempts that are not answered.
        rings: the mean seconds of ringing and connecting, by outcome. talks: those of a conversation.
        spread: of conversations: the standard deviation of their logarithm.
        overhead: seconds that a channel is held beside them: until the next call is claimed for it.
        learnt_from: attempts of the account's own past in it.
    """

    answers: tuple[float, ...] = _BY_HOUR
    by_attempt: tuple[float, ...] = _BY_ATTEMPT
    busy: float = 0.12
    failed: float = 0.06
    rings: Mapping[str, float] = field(
        default_factory=lambda: {"completed": 12.0, "busy": 4.0, "no-answer": 30.0, "failed": 3.0}
    )
    talks: float = 35.0
    spread: float = 0.6
    overhead: float = 1.0
    learnt_from: int = 0

    def ring(self, hour: int, attempt: int, chance: Random) -> Ring:
        """Draw what comes of an attempt in this hour of the day. attempt: from 1."""
        answers = self.answers[hour] * self.by_attempt[min(attempt, len(self.by_attempt)) - 1]
        drawn = chance.random()
        if drawn < answers:
            talk = self.talks * chance.lognormvariate(-(self.spread**2) / 2, self.spread)
            return Ring(Outcome.COMPLETED.value, self.rings["completed"] + talk, talk)
        # The rest of the drawn number is as even as a new one.
        rest = (drawn - answers) / max(1 - answers, 1e-9)
        if rest < self.busy:
            outcome = Outcome.BUSY.value
        elif rest < self.busy + self.failed:
            outcome = Outcome.FAILED.value
        else:
            outcome = Outcome.NO_ANSWER.value
        return Ring(outcome, self.rings[outcome], 0.0)

    def answering(self, factor: float) -> "Callees":
        """Return people who answer more or less often, and talk as much longer."""
        answers = tuple(min(rate * factor, 0.95) for rate in self.answers)
        return replace(self, answers=answers, talks=self.talks * (2 - factor))


DEFAULT = Callees()


def learnt(account: Account) -> Callees:
    """Return the people whom the account has called lately. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_PAST, {"account": account.pk, "zone": account.time_zone, "most": _MOST})
        rows = [_Past(*row) for row in cursor.fetchall()]
    made = sum(row.calls for row in rows)
    if not made:
        return DEFAULT
    misses = [row for row in rows if row.outcome != Outcome.COMPLETED]
    rings = {
        outcome: _mean([(row.calls, row.seconds) for row in rows if row.outcome == outcome], mean)
        for outcome, mean in DEFAULT.rings.items()
    }
    return replace(
        DEFAULT,
        answers=tuple(_rate(_answered(rows, hour=hour), rate) for hour, rate in enumerate(DEFAULT.answers)),
        by_attempt=_by_attempt(rows),
        busy=_rate(_share(misses, Outcome.BUSY), DEFAULT.busy),
        failed=_rate(_share(misses, Outcome.FAILED), DEFAULT.failed),
        rings=rings,
        talks=_mean([(row.calls, row.talk) for row in rows if row.outcome == Outcome.COMPLETED], DEFAULT.talks),
        learnt_from=made,
    )


class _Past(NamedTuple):
    hour: int
    attempt: int
    outcome: str
    calls: int
    seconds: float
    talk: float


def _answered(rows: list[_Past], *, hour: int | None = None, attempt: int | None = None) -> tuple[int, int]:
    chosen = [row for row in rows if hour in {None, row.hour} and (attempt or 1) == row.attempt]
    return sum(row.calls for row in chosen if row.outcome == Outcome.COMPLETED), sum(row.calls for row in chosen)


def _by_attempt(rows: list[_Past]) -> tuple[float, ...]:
    first = _rate(_answered(rows, attempt=1), sum(_BY_HOUR[9:21]) / 12)
    by_attempt = (_rate(_answered(rows, attempt=n + 1), first * usual) / first for n, usual in enumerate(_BY_ATTEMPT))
    return (1.0, *list(by_attempt)[1:])


def _share(rows: list[_Past], outcome: str) -> tuple[int, int]:
    return sum(row.calls for row in rows if row.outcome == outcome), sum(row.calls for row in rows)


def _rate(seen: tuple[int, int], usual: float) -> float:
    hits, count = seen
    return (hits + usual * _WEIGHT) / (count + _WEIGHT)


def _mean(seen: list[tuple[int, float]], usual: float) -> float:
    count = sum(many for many, _ in seen)
    return (sum(many * mean for many, mean in seen) + usual * _WEIGHT) / (count + _WEIGHT)


# The latest campaigns first, by the index of their attempts.
_PAST = f"""
    SELECT extract(hour FROM placing_at AT TIME ZONE %(zone)s)::int, least(number, {MOST_ATTEMPTS})::int, status,
        count(*), avg(extract(epoch FROM ended_at - placing_at) - coalesce(duration_seconds, 0))::float,
        coalesce(avg(duration_seconds), 0)::float
    FROM (
        SELECT attempt.* FROM (
            SELECT id FROM campaigns_campaign WHERE account_id = %(account)s AND started_at IS NOT NULL
            ORDER BY created_at DESC LIMIT 50
        ) AS campaign CROSS JOIN LATERAL (
            SELECT placing_at, ended_at, number, status, duration_seconds FROM dialer_callattempt
            WHERE campaign_id = campaign.id AND status IN ('completed', 'busy', 'no-answer', 'failed')
                AND placing_at IS NOT NULL
            LIMIT %(most)s
        ) AS attempt LIMIT %(most)s
    ) AS past GROUP BY 1, 2, 3
"""  # noqa: S608 -- made of constants, and every value is a parameter
