"""The tally of attempts by hour: for charts and for the question when people answer.

Attempts themselves are too many to count for a page. A trigger counts them when they end
(`dialer/migrations`); what it counts is said here once more, for the check.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

# Seconds at which a class of talks begins. Under six a carrier counts a call as short.
TALK_BOUNDS = (0, 6, 15, 30, 60, 120, 300)
# Keys that are counted one by one. More of them are an input (a PIN, an account), which is nobody's to see here.
MOST_KEYS = 3
MORE_KEYS = "more"

# New rows that one compaction takes, and for how long sums are kept: a year, and the month to compare it with.
COMPACT_BATCH = 10_000
KEPT = timedelta(days=400)

_KEY = "account_id, campaign_id, caller_id_id, hour, outcome, number, digits, talk_from"


def compact(now: datetime) -> int:
    """Replace new rows by their sums, one for each kind of attempt, campaign and hour, and delete old ones.

    One statement, so readers see the rows either before or after it. Two compactions at once take different rows.

    Returns the number of rows saved.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH fresh AS MATERIALIZED (
                SELECT DISTINCT campaign_id, hour FROM (
                    SELECT campaign_id, hour FROM dialer_hourtally WHERE NOT is_sum ORDER BY id LIMIT %s
                ) AS oldest
            ), taken AS (
                DELETE FROM dialer_hourtally WHERE id IN (
                    SELECT tally.id FROM dialer_hourtally AS tally JOIN fresh USING (campaign_id, hour)
                    FOR UPDATE OF tally SKIP LOCKED
                ) RETURNING {_KEY}, attempts, seconds
            ), added_up AS (
                INSERT INTO dialer_hourtally ({_KEY}, attempts, seconds, is_sum)
                SELECT {_KEY}, sum(attempts), sum(seconds), true FROM taken
                GROUP BY {_KEY} HAVING sum(attempts) <> 0 OR sum(seconds) <> 0 RETURNING 1
            )
            SELECT (SELECT count(*) FROM taken) - (SELECT count(*) FROM added_up)
            """,  # noqa: S608 -- made of constants
            [COMPACT_BATCH],
        )
        saved = int(cursor.fetchone()[0])
        cursor.execute(
            "DELETE FROM dialer_hourtally WHERE account_id = ANY(ARRAY(SELECT id FROM accounts_account)) AND hour < %s",
            [now - KEPT],
        )
        return saved + int(cursor.rowcount)


def discrepancies(campaign_ids: Collection[UUID]) -> int:
    """Return how many attempts of these campaigns the tally counts wrongly: too many, too few, or as another kind."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(sum(abs(attempts)), 0) FROM ({_DIFFERENCES}) AS difference",  # noqa: S608
            {"campaigns": list(campaign_ids)},
        )
        return int(cursor.fetchone()[0])


def correct(campaign_ids: Collection[UUID]) -> int:
    """Add what the tally of these campaigns lacks. Returns how many rows that took.

    One statement, which sees an attempt and its tally in the same state, so calls may go on meanwhile. The campaigns
    must have their attempts: of one that is being deleted the tally is all that is left.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO dialer_hourtally ({_KEY}, attempts, seconds) {_DIFFERENCES}",
            {"campaigns": list(campaign_ids)},
        )
        return int(cursor.rowcount)


_BOUNDS = f"ARRAY[{', '.join(map(str, TALK_BOUNDS))}]"
_CAMPAIGNS = "SELECT id FROM campaigns_campaign WHERE id = ANY(%(campaigns)s) AND NOT is_purging"
_DIFFERENCES = f"""
    SELECT {_KEY}, sum(attempts) AS attempts, sum(seconds) AS seconds FROM (
        SELECT attempt.account_id, attempt.campaign_id, campaign.caller_id_id,
            date_trunc('hour', placing_at, account.time_zone) AS hour, attempt.status AS outcome, attempt.number,
            CASE WHEN length(digits) > {MOST_KEYS} THEN '{MORE_KEYS}' ELSE digits END AS digits,
            CASE WHEN attempt.status = 'completed'
                THEN ({_BOUNDS})[width_bucket(duration_seconds, {_BOUNDS})] END AS talk_from,
            1 AS attempts, coalesce(duration_seconds, 0) AS seconds
        FROM dialer_callattempt AS attempt
        JOIN campaigns_campaign AS campaign ON campaign.id = attempt.campaign_id
        JOIN accounts_account AS account ON account.id = attempt.account_id
        WHERE attempt.campaign_id IN ({_CAMPAIGNS})
            AND attempt.status IN ('completed', 'busy', 'no-answer', 'failed')
        UNION ALL
        SELECT {_KEY}, -attempts, -seconds FROM dialer_hourtally WHERE campaign_id IN ({_CAMPAIGNS})
    ) AS counted GROUP BY {_KEY} HAVING sum(attempts) <> 0 OR sum(seconds) <> 0
"""  # noqa: S608 -- made of constants; the campaigns are a parameter
