"""When numbers were called before: what caps, gaps and quiet times are measured by. One statement for a batch.

Over all campaigns of an account, and from what has ended: attempts, and flows' calls to other numbers (legs) but those
of the account's agents. Another one under way keeps the number from being dialed anyway (`dialer.under_way`). So the
answer is exact for the call that is about to be made.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from django.db import connection

from dialer.under_way import HAS_LEGS

# An attempt ends within this time from its beginning. Only what is read depends on it, so it may be generous.
LONGEST_CALL = timedelta(days=1)

Counts = Literal["attempts", "conversations", "refusals", "opt-outs", "ends"]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Limit:
    """No call before the `most`-th latest of what it counts is so long ago.

    Attributes:
        counts: attempts, from the moment at which the carrier was asked; or, from their end, all attempts (`ends`),
            conversations, or attempts in which the callee refused further calls or asked for none at all. A leg is an
            attempt, too, and a conversation once it was taken.
    """

    most: int
    within: timedelta
    counts: Counts


class Question(NamedTuple, Generic[Key]):
    """Numbers of an account, by a key of the caller's, and the limits that hold for each of them."""

    account_id: int
    limits: Sequence[Limit]
    numbers: Mapping[Key, str]


class Held(NamedTuple):
    """Until when a number must not be called, and the limit that says so."""

    until: datetime
    limit: Limit


def held(questions: Sequence[Question[Key]], now: datetime) -> dict[Key, Held]:
    """Return the numbers that a limit keeps from being called now, by their keys, with the limit that ends last."""
    asked = [question for question in questions if question.limits and question.numbers]
    if not asked:
        return {}
    keys = [key for question in asked for key in question.numbers]
    limits = [(group, limit) for group, question in enumerate(asked, start=1) for limit in question.limits]
    with connection.cursor() as cursor:
        cursor.execute(_NTH_LATEST, _params(asked, limits, now))
        rows = cursor.fetchall()
    found: dict[Key, Held] = {}
    for position, of_limit, at in rows:
        key, limit = keys[position - 1], limits[of_limit - 1][1]
        if at + limit.within > now:
            found[key] = max(found.get(key, Held(at + limit.within, limit)), Held(at + limit.within, limit), key=_until)
    return found


def _until(held: Held) -> datetime:
    return held.until


def _params(asked: Sequence[Question[Any]], limits: Sequence[tuple[int, Limit]], now: datetime) -> dict[str, Any]:
    longest = [max(limit.within for limit in question.limits) for question in asked]
    return {
        "numbers": [number for question in asked for number in question.numbers.values()],
        "groups": [group for group, question in enumerate(asked, start=1) for _ in question.numbers],
        "accounts": [question.account_id for question in asked],
        "earliest": [now - within - LONGEST_CALL for within in longest],
        "limits_of": [group for group, _ in limits],
        "counts": [limit.counts for _, limit in limits],
        "skipped": [limit.most - 1 for _, limit in limits],
        "since": [now - limit.within - LONGEST_CALL for _, limit in limits],
    }


# The number's own entries of the index `attempt_to_number`, the latest first, so that a number that was called a
# thousand times costs no more than one that was called twice. One that was not called lately costs a single look. In
# accounts that never connect anybody to a person, legs are not looked for.
_NTH_LATEST = f"""
    WITH one_group AS MATERIALIZED (
        SELECT account.id AS account_id, earliest, of_group, {HAS_LEGS} AS has_legs
        FROM unnest(%(accounts)s::bigint[], %(earliest)s::timestamptz[])
            WITH ORDINALITY AS account(id, earliest, of_group)
    )
    SELECT asked.position, each_limit.position, past.at
    FROM unnest(%(numbers)s::text[], %(groups)s::int[]) WITH ORDINALITY AS asked(number, of_group, position)
    JOIN one_group ON one_group.of_group = asked.of_group
    CROSS JOIN LATERAL (
        SELECT FROM (
            (
                SELECT 1 FROM dialer_callattempt AS attempt
                WHERE attempt.account_id = one_group.account_id AND attempt.callee = asked.number
                    AND attempt.status IN ('completed', 'busy', 'no-answer', 'failed')
                    AND attempt.placing_at > one_group.earliest
                ORDER BY attempt.placing_at DESC LIMIT 1
            ) UNION ALL (
                SELECT 1 FROM dialer_transfer AS leg
                WHERE one_group.has_legs AND leg.account_id = one_group.account_id AND leg.number = asked.number
                    AND leg.to_person AND leg.placing_at > one_group.earliest AND leg.ended_at IS NOT NULL
                ORDER BY leg.placing_at DESC LIMIT 1
            )
        ) AS any_call LIMIT 1
    ) AS lately
    JOIN unnest(%(limits_of)s::int[], %(counts)s::text[], %(skipped)s::int[], %(since)s::timestamptz[])
        WITH ORDINALITY AS each_limit(of_group, counts, skipped, since, position)
        ON each_limit.of_group = asked.of_group
    CROSS JOIN LATERAL (
        SELECT CASE WHEN each_limit.counts = 'attempts' THEN call.placing_at ELSE call.ended_at END AS at FROM (
            (
                SELECT attempt.placing_at, attempt.ended_at FROM dialer_callattempt AS attempt
                WHERE attempt.account_id = one_group.account_id AND attempt.callee = asked.number
                    AND attempt.status IN ('completed', 'busy', 'no-answer', 'failed')
                    AND attempt.placing_at > each_limit.since
                    AND CASE each_limit.counts WHEN 'conversations' THEN attempt.status = 'completed'
                        WHEN 'refusals' THEN attempt.wish <> '' WHEN 'opt-outs' THEN attempt.wish = 'opt-out'
                        ELSE true END
                ORDER BY attempt.placing_at DESC LIMIT each_limit.skipped + 1
            ) UNION ALL (
                SELECT leg.placing_at, leg.ended_at FROM dialer_transfer AS leg
                WHERE one_group.has_legs AND leg.account_id = one_group.account_id AND leg.number = asked.number
                    AND leg.to_person AND leg.placing_at > each_limit.since AND leg.ended_at IS NOT NULL
                    AND CASE each_limit.counts WHEN 'conversations' THEN leg.outcome = 'completed'
                        WHEN 'refusals' THEN false WHEN 'opt-outs' THEN false ELSE true END
                ORDER BY leg.placing_at DESC LIMIT each_limit.skipped + 1
            )
        ) AS call ORDER BY call.placing_at DESC OFFSET each_limit.skipped LIMIT 1
    ) AS past
"""  # noqa: S608 -- made of constants, and every value is a parameter


class PastCall(NamedTuple):
    """An ended attempt or leg: when the carrier was asked, when it was over, and whether somebody answered."""

    placed_at: datetime
    ended_at: datetime
    was_answered: bool


def lately(account_id: int, numbers: Collection[str], since: datetime) -> dict[str, list[PastCall]]:
    """Return the latest calls to each number that was called since, oldest first. One query."""
    found: dict[str, list[PastCall]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            _LATELY, {"account": account_id, "numbers": list(set(numbers)), "since": since, "most": MOST_LATELY}
        )
        for number, *columns in cursor.fetchall():
            found[number].append(PastCall(*columns))
    return found


# More than any cap counts in the time of one.
MOST_LATELY = 100
_LATELY = """
    SELECT asked.number, call.placing_at, call.ended_at, call.was_answered
    FROM unnest(%(numbers)s::text[]) AS asked(number) CROSS JOIN LATERAL (
        (
            SELECT placing_at, ended_at, status = 'completed' AS was_answered FROM dialer_callattempt
            WHERE account_id = %(account)s AND callee = asked.number
                AND status IN ('completed', 'busy', 'no-answer', 'failed') AND placing_at > %(since)s
            ORDER BY placing_at DESC LIMIT %(most)s
        ) UNION ALL (
            SELECT placing_at, ended_at, outcome = 'completed' FROM dialer_transfer
            WHERE account_id = %(account)s AND number = asked.number
                AND to_person AND ended_at IS NOT NULL AND placing_at > %(since)s
            ORDER BY placing_at DESC LIMIT %(most)s
        )
    ) AS call ORDER BY call.placing_at
"""


def called_lately(windows: Sequence[tuple[str, timedelta]], *, legs: bool) -> str:
    """Return an expression, of a row `due` with an account and a number: whether any call may count for a limit.

    The shorter the time, the cheaper: PostgreSQL reads all that it finds on a page of the index, not the latest alone.

    Args:
        windows: how far limits look back, by the beginning of the numbers that they hold for; "" for all numbers.
        legs: whether there are any.
    """
    of_all = dict(windows).get("")
    since = _long_ago(of_all) if of_all else "timestamptz 'infinity'"
    cases = [
        f"WHEN due.number LIKE '{start}%%' THEN {_long_ago(max(window, of_all or window))}"
        for start, window in windows
        if start
    ]
    if cases:
        since = f"CASE {' '.join(cases)} ELSE {since} END"
    leg = f"""(
        SELECT true FROM dialer_transfer
        WHERE account_id = due.account_id AND number = due.number AND placing_at > {since}
            AND to_person AND ended_at IS NOT NULL
        LIMIT 1
    ), """  # noqa: S608 -- made of texts of this program
    return f"""coalesce((
        SELECT true FROM dialer_callattempt
        WHERE account_id = due.account_id AND callee = due.number AND placing_at > {since}
            AND status IN ('completed', 'busy', 'no-answer', 'failed')
        LIMIT 1
    ), {leg if legs else ""}false)"""  # noqa: S608 -- made of texts of this program


def _long_ago(window: timedelta) -> str:
    return f"%(now)s::timestamptz - interval '{(window + LONGEST_CALL).total_seconds():.0f} s'"
