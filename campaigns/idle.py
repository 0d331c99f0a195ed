"""Until when a running campaign has nothing to dial, kept in its row so that nobody looks at its calls before.

`Campaign.idle_until` is a lower bound: too early costs a look, too late would leave a person uncalled. So it is moved
later only under the campaign's exclusive lock, by what a look finds then, and earlier by whatever makes a call due,
which holds the lock shared to its commit. Neither can miss the other. A start and a resume empty it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from campaigns import campaign_lock

# A campaign is looked at again after so long in any case, so that a fault of this program costs minutes, not a call.
LONGEST = timedelta(minutes=10)


def note_due(call_ids: Collection[int]) -> None:
    """Move the moment forward where these calls, which have just begun to wait, are due before it.

    Most batches change no campaign: one that has other calls waiting is not idle. Rows are locked in one order.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH due AS (
                SELECT campaign_id, min(coalesce(next_attempt_at, '-infinity')) AS at
                FROM campaigns_call WHERE id = ANY(%s) GROUP BY 1
            ), late AS (
                SELECT campaign.id, due.at FROM campaigns_campaign AS campaign JOIN due ON due.campaign_id = campaign.id
                WHERE campaign.idle_until > due.at ORDER BY campaign.id FOR NO KEY UPDATE OF campaign
            )
            UPDATE campaigns_campaign AS campaign SET idle_until = nullif(late.at, '-infinity')
            FROM late WHERE campaign.id = late.id
            """,
            [list(call_ids)],
        )


def settle_down(campaign_ids: Collection[UUID], now: datetime, *, passed_over: datetime | None) -> None:
    """Look at the calls of campaigns that seemed to have none to dial, and keep until when that is so.

    A campaign that batches are at work on is left as it is: the next look finds it again.

    Args:
        passed_over: when to look again at those that have due calls, all of them for numbers that are being dialed for
            other calls; None: at any time.
    """
    if not campaign_ids:
        return
    latest = now + LONGEST
    with transaction.atomic(), connection.cursor() as cursor:
        # The lock is taken by a statement of its own: the next one sees all that was committed before it was free.
        held = campaign_lock.try_hold(sorted(campaign_ids))
        cursor.execute(_SETTLE_DOWN, {"ids": held, "now": now, "passed_over": passed_over, "latest": latest})


_SETTLE_DOWN = """
    WITH waiting AS (
        SELECT campaign.id, min(call.next_attempt_at) AS retry_at, coalesce(
            bool_or(call.pk IS NOT NULL AND coalesce(call.next_attempt_at <= %(now)s, true)), false) AS is_due
        FROM campaigns_campaign AS campaign CROSS JOIN LATERAL (
            (SELECT id AS pk, next_attempt_at FROM campaigns_call
                WHERE campaign_id = campaign.id AND status = 'created' AND next_attempt_at IS NULL LIMIT 1)
            UNION ALL
            (SELECT id, next_attempt_at FROM campaigns_call
                WHERE campaign_id = campaign.id AND status = 'created' AND next_attempt_at IS NOT NULL
                ORDER BY next_attempt_at LIMIT 1)
            UNION ALL
            (SELECT id, next_attempt_at FROM campaigns_call
                WHERE campaign_id = campaign.id AND status = 'retrying' ORDER BY next_attempt_at LIMIT 1)
            UNION ALL SELECT NULL, NULL
        ) AS call
        WHERE campaign.id = ANY(%(ids)s::uuid[]) AND campaign.status = 'in-progress' GROUP BY 1
    )
    UPDATE campaigns_campaign AS campaign SET idle_until = found.until
    FROM (SELECT id, CASE WHEN is_due THEN %(passed_over)s ELSE least(retry_at, %(latest)s) END AS until FROM waiting)
        AS found
    WHERE campaign.id = found.id AND campaign.idle_until IS DISTINCT FROM found.until
"""


def put_off(moments: Mapping[UUID, datetime]) -> None:
    """Keep that these campaigns may start no call before these moments, whatever is due: their own pace says so."""
    if not moments:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH late AS (
                SELECT campaign.id, put_off.at FROM unnest(%s::uuid[], %s::timestamptz[]) AS put_off(id, at)
                JOIN campaigns_campaign AS campaign ON campaign.id = put_off.id
                WHERE campaign.status = 'in-progress' ORDER BY campaign.id FOR NO KEY UPDATE OF campaign SKIP LOCKED
            )
            UPDATE campaigns_campaign AS campaign SET idle_until = late.at FROM late WHERE campaign.id = late.id
            """,
            [list(moments), list(moments.values())],
        )
