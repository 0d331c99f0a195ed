"""Claim webhooks that are due: fairly over accounts and receivers, in order within a queue, at a steady cost.

Claims are made one after another, in the order that this table has:

| a webhook | waits for |
|---|---|
| of a number | older ones of its queue; the first try of the campaign's start |
| a campaign's end | older ones of its stream: all that were never tried, and for `END_WAITS` those that fail |

One that waits is put off instead of being looked at again and again: to when the one before it is due. `tries.record`
makes it due when that one has ended. So what stands in front of the index is what can be sent, however many wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction

from webhooks.models import WebhookDelivery

# How long a campaign's end waits for webhooks that fail. Four tries fit into it.
END_WAITS = timedelta(minutes=10)
# How long an end that has to wait is put off, in seconds. The last one before it makes it due at once, as a rule.
END_LOOK_SECONDS = 5
# Seconds beyond the time limit of a try, in which its result is stored on a busy machine.
MARGIN_SECONDS = 15
# Receivers that one look visits at the most; the next look begins elsewhere. A thousand take about ten milliseconds.
RECEIVERS_OF_A_LOOK = 1000
# Claims put off what waits and look again, at most so often.
LOOKS = 20
# The advisory lock of claims. Two at a time would both give away a receiver's last place.
_LOCK = 0x77656268


@dataclass
class _Look:
    """What one look has found: rows that may be sent, and how many it has put off."""

    claimed: list[int]
    put_off: int


def claim(limit: int, now: datetime, receivers: Sequence[UUID] | None = None) -> list[WebhookDelivery]:
    """Claim webhooks that are due, for these receivers or for all, at most `limit`.

    The accounts, and of each the receivers, with the fewest on their way come first. The rows come with their accounts.
    The caller has to send them and record the results.
    """
    if limit <= 0:
        return []
    ids: list[int] = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        for _ in range(LOOKS):
            look = _look(cursor, limit - len(ids), now, receivers)
            ids += look.claimed
            if not look.put_off or len(ids) >= limit:
                break
    return list(WebhookDelivery.objects.filter(pk__in=ids).select_related("account").order_by("pk")) if ids else []


def _look(cursor: Any, limit: int, now: datetime, receivers: Sequence[UUID] | None) -> _Look:
    cursor.execute(
        _CLAIM_OF_ALL if receivers is None else _CLAIM_OF_SOME,
        {
            "now": now,
            "limit": limit,
            "until": now + timedelta(seconds=settings.WEBHOOK_TIMEOUT_SECONDS + MARGIN_SECONDS),
            "end_waits_since": now - END_WAITS,
            "end_look_at": now + timedelta(seconds=END_LOOK_SECONDS),
            "of_receiver": settings.WEBHOOKS_AT_ONCE_PER_RECEIVER,
            "of_account": settings.WEBHOOKS_AT_ONCE_PER_ACCOUNT,
            "start": uuid4(),
            "receivers": list(receivers or ()),
            "most_receivers": RECEIVERS_OF_A_LOOK,
        },
    )
    rows: list[tuple[int, bool]] = cursor.fetchall()
    claimed = [key for key, is_claimed in rows if is_claimed]
    return _Look(claimed, len(rows) - len(claimed))


def due_since(now: datetime) -> datetime | None:
    """Return since when the webhook has been due that has waited longest for a try; None when none is due.

    One that waits behind another, or for its next try, is not due.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE {_walk("onward", "receiver >= '00000000-0000-0000-0000-000000000000'")}
            SELECT min(next_try_at) FROM onward WHERE next_try_at <= %(now)s
            """,  # noqa: S608 -- made of constants; every value is a parameter
            {"now": now, "most_receivers": 2**31 - 1},
        )
        row: tuple[datetime | None] = cursor.fetchone()
        return row[0]


def _walk(name: str, begin: str, stop: str = "TRUE") -> str:
    """Return a recursive CTE that steps through the index from receiver to receiver, with the earliest row of each."""
    return f"""
        {name}(receiver, account_id, next_try_at, step) AS (
            (
                SELECT receiver, account_id, next_try_at, 1 FROM webhooks_webhookdelivery
                WHERE next_try_at IS NOT NULL AND {begin} AND {stop} ORDER BY receiver, next_try_at LIMIT 1
            )
            UNION ALL
            SELECT following.*, {name}.step + 1 FROM {name}, LATERAL (
                SELECT receiver, account_id, next_try_at FROM webhooks_webhookdelivery
                WHERE next_try_at IS NOT NULL AND receiver > {name}.receiver AND {stop}
                ORDER BY receiver, next_try_at LIMIT 1
            ) AS following WHERE {name}.step < %(most_receivers)s
        )
    """  # noqa: S608 -- made of constants


# Once round, from a place that chance chooses: with more receivers than one look visits, each has its turn.
_ALL = f"""
    {_walk("onward", "receiver >= %(start)s")},
    {_walk("from_the_first", "receiver < %(start)s", "receiver < %(start)s")},
    earliest AS (SELECT * FROM onward UNION ALL SELECT * FROM from_the_first)
"""  # noqa: S608 -- made of constants; every value is a parameter
_SOME = """
    earliest AS (
        SELECT first.* FROM (SELECT DISTINCT unnest(%(receivers)s::uuid[]) AS receiver) AS wanted, LATERAL (
            SELECT receiver, account_id, next_try_at FROM webhooks_webhookdelivery AS row
            WHERE next_try_at IS NOT NULL AND row.receiver = wanted.receiver ORDER BY next_try_at LIMIT 1
        ) AS first
    )
"""

# The rest of a claim. `rank` makes receivers, and accounts, take turns: the one with the fewest on their way is next.
_CLAIM = """
    sending AS MATERIALIZED (
        SELECT receiver, account_id FROM webhooks_webhookdelivery WHERE sending_until > %(now)s
    ),
    open AS MATERIALIZED (
        SELECT receiver, account_id, coalesce(of_receiver.busy, 0) AS busy, coalesce(of_account.busy, 0) AS account_busy
        FROM earliest
        LEFT JOIN (SELECT receiver, count(*) AS busy FROM sending GROUP BY 1) AS of_receiver USING (receiver)
        LEFT JOIN (SELECT account_id, count(*) AS busy FROM sending GROUP BY 1) AS of_account USING (account_id)
        WHERE next_try_at <= %(now)s AND coalesce(of_receiver.busy, 0) < %(of_receiver)s
        AND coalesce(of_account.busy, 0) < %(of_account)s
        ORDER BY account_busy, busy, next_try_at LIMIT %(limit)s
    ),
    due AS MATERIALIZED (
        SELECT open.busy, open.account_busy, row.* FROM open, LATERAL (
            SELECT id, account_id, receiver, stream, queue, kind, queued_at, next_try_at, has_failed
            FROM webhooks_webhookdelivery AS row
            WHERE row.receiver = open.receiver AND row.next_try_at <= %(now)s
            ORDER BY row.next_try_at, row.id LIMIT 2 * least(%(of_receiver)s - open.busy, %(limit)s)
        ) AS row
    ),
    judged AS MATERIALIZED (
        SELECT due.*, greatest(hold.until, %(now)s + interval '1 second') AS held_until, hold.behind_failure
        FROM due LEFT JOIN LATERAL (
            (
                SELECT older.next_try_at AS until, older.has_failed AS behind_failure
                FROM webhooks_webhookdelivery AS older
                WHERE older.next_try_at IS NOT NULL AND older.queue = due.queue AND older.id < due.id
                ORDER BY older.id LIMIT 1
            )
            UNION ALL
            SELECT start.next_try_at, FALSE FROM webhooks_webhookdelivery AS start
            WHERE start.next_try_at IS NOT NULL AND start.queue = due.stream AND start.id < due.id
            AND due.queue <> due.stream AND (start.tries = 0 OR start.tries = 1 AND start.sending_until > %(now)s)
            UNION ALL
            SELECT %(end_look_at)s, FALSE WHERE due.kind = 'campaign-status' AND due.queue <> due.stream AND (
                EXISTS (
                    SELECT FROM webhooks_webhookdelivery AS older WHERE older.next_try_at IS NOT NULL
                    AND older.stream = due.stream AND NOT older.has_failed AND older.id < due.id
                ) OR due.queued_at > %(end_waits_since)s AND EXISTS (
                    SELECT FROM webhooks_webhookdelivery AS older WHERE older.next_try_at IS NOT NULL
                    AND older.stream = due.stream AND older.has_failed AND older.id < due.id
                )
            )
            LIMIT 1
        ) AS hold ON TRUE
    ),
    in_receiver AS (
        SELECT *, busy + row_number() OVER (PARTITION BY receiver ORDER BY next_try_at, id) AS rank
        FROM judged WHERE behind_failure IS NULL
    ),
    in_account AS (
        SELECT *, account_busy + row_number() OVER (PARTITION BY account_id ORDER BY rank, next_try_at, id)
            AS account_rank
        FROM in_receiver WHERE rank <= %(of_receiver)s
    ),
    chosen AS MATERIALIZED (
        SELECT row.id FROM in_account JOIN webhooks_webhookdelivery AS row USING (id, next_try_at)
        WHERE account_rank <= %(of_account)s
        ORDER BY account_rank, in_account.next_try_at, id LIMIT %(limit)s FOR UPDATE OF row SKIP LOCKED
    ),
    held AS MATERIALIZED (
        SELECT row.id, held_until, behind_failure
        FROM judged JOIN webhooks_webhookdelivery AS row USING (id, next_try_at)
        WHERE behind_failure IS NOT NULL FOR UPDATE OF row SKIP LOCKED
    ),
    claimed AS (
        UPDATE webhooks_webhookdelivery AS row
        SET next_try_at = %(until)s, sending_until = %(until)s, tries = row.tries + 1
        FROM chosen WHERE row.id = chosen.id RETURNING row.id
    ),
    put_off AS (
        UPDATE webhooks_webhookdelivery AS row
        SET next_try_at = held_until, has_failed = row.has_failed OR behind_failure
        FROM held WHERE row.id = held.id RETURNING row.id
    )
    SELECT id, TRUE FROM claimed UNION ALL SELECT id, FALSE FROM put_off
"""
_CLAIM_OF_ALL = f"WITH RECURSIVE {_ALL}, {_CLAIM}"
_CLAIM_OF_SOME = f"WITH {_SOME}, {_CLAIM}"
