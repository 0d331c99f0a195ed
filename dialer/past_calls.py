"""When numbers were called before: what caps, gaps and quiet times are measured by. One statement for a batch.

Over all campaigns of an account, and from ended attempts alone: another one under way keeps the number from being
dialed anyway (decision 0022). So the answer is exact for the call that is about to be made.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from django.db import connection

# An attempt ends within this time from its beginning. Only what is read depends on it, so it may be generous.
LONGEST_CALL = timedelta(days=1)

Counts = Literal["attempts", "conversations", "refusals", "opt-outs", "ends"]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Limit:
    """No call before the `most`-th latest of what it counts is so long ago.

    Attributes:
        counts: attempts, from the moment at which the carrier was asked; or, from their end, all attempts (`ends`),
            conversations, or attempts in which the callee refused further calls or asked for none at all.
    """

    most: int
    within: timedelta
    counts: Counts


def next_allowed(asked: Iterable[tuple[Key, int, str, Limit]], now: datetime) -> dict[tuple[Key, Limit], datetime]:
    """Return the moment from which on each limit allows a call, of those that do not allow one now.

    Args:
        asked: a key of the caller's, the account's id, the number, and a limit for it.
    """
    questions = list(asked)
    if not questions:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _NTH_LATEST,
            {
                "accounts": [account_id for _, account_id, _, _ in questions],
                "numbers": [number for _, _, number, _ in questions],
                "counts": [limit.counts for _, _, _, limit in questions],
                "skipped": [limit.most - 1 for _, _, _, limit in questions],
                "since": [now - limit.within - LONGEST_CALL for _, _, _, limit in questions],
            },
        )
        found: Mapping[int, datetime] = dict(cursor.fetchall())
    allowed = {}
    for position, at in found.items():
        key, _, _, limit = questions[position - 1]
        if at + limit.within > now:
            allowed[key, limit] = at + limit.within
    return allowed


# The number's own entries of the index `attempt_to_number`, the latest first, so that a number that was called a
# thousand times costs no more than one that was called twice.
_NTH_LATEST = """
    SELECT asked.position, past.at
    FROM unnest(%(accounts)s::bigint[], %(numbers)s::text[], %(counts)s::text[], %(skipped)s::int[],
            %(since)s::timestamptz[])
        WITH ORDINALITY AS asked(account_id, number, counts, skipped, since, position)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN asked.counts = 'attempts' THEN attempt.placing_at ELSE attempt.ended_at END AS at
        FROM dialer_callattempt AS attempt
        WHERE attempt.account_id = asked.account_id AND attempt.callee = asked.number
            AND attempt.status IN ('completed', 'busy', 'no-answer', 'failed') AND attempt.placing_at > asked.since
            AND CASE asked.counts WHEN 'conversations' THEN attempt.status = 'completed'
                WHEN 'refusals' THEN attempt.wish <> '' WHEN 'opt-outs' THEN attempt.wish = 'opt-out' ELSE true END
        ORDER BY attempt.placing_at DESC OFFSET asked.skipped LIMIT 1
    ) AS past
"""
