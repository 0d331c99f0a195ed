"""How many calls accounts start against their usual: a stolen key dials far more, at night, than its owner ever did."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection

from dialer import daily_limits

LATELY = timedelta(hours=1)
# What counts as usual at least, in calls an hour: small numbers grow tenfold by chance.
LEAST_USUAL = 60


def times_the_usual(account_ids: Collection[int], now: datetime) -> dict[int, float]:
    """Return the calls that accounts placed lately as a multiple of what they place in an hour. One query.

    Usual is the mean of the hours in which they called, of the days for which usage is kept. It costs an account that
    placed none lately one look-up in an index.
    """
    if not account_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asked.id, lately.calls, coalesce(before.calls / nullif(before.hours, 0), 0)
            FROM unnest(%(accounts)s::bigint[]) AS asked(id)
            CROSS JOIN LATERAL (
                SELECT sum(calls) AS calls FROM dialer_usagechange WHERE account_id = asked.id AND at > %(lately)s
            ) AS lately
            CROSS JOIN LATERAL (
                SELECT sum(calls) AS calls, count(DISTINCT date_trunc('hour', at)) AS hours FROM dialer_usagechange
                WHERE account_id = asked.id AND at > %(kept)s AND at <= %(lately)s
            ) AS before
            WHERE lately.calls > 0
            """,
            {"accounts": list(account_ids), "lately": now - LATELY, "kept": now - daily_limits.KEPT},
        )
        rows = cursor.fetchall()
    return dict.fromkeys(account_ids, 0.0) | {
        pk: float(calls) / max(float(usual), LEAST_USUAL) for pk, calls, usual in rows
    }
