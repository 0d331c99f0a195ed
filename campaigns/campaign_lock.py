"""A campaign's lock: what its calls do holds it together with others, what changes its state holds it alone.

So the batches of one campaign do not wait for each other, and one that decides over a retry sees a pause or an end
either before or after it, never in between. It is an advisory lock of PostgreSQL, held to the end of the transaction,
and not a lock on the row, because it is fair: whoever wants it alone is next, while a row that is always locked by one
batch or another would keep a person's pause waiting for ever. Take it before any row of the campaign's is locked.
"""

from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet


def hold_shared(campaign_ids: "QuerySet[Any, Any]") -> None:
    """campaign_ids: a query of one column. Locked in one order, so that no two batches block each other."""
    ids, params = campaign_ids.order_by().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT pg_advisory_xact_lock_shared(key) FROM (
                SELECT DISTINCT hashtextextended(id::text, 0) AS key FROM ({ids}) AS campaign(id) ORDER BY 1
            ) AS keys
            """,  # noqa: S608 -- the query is Django's, its values are parameters
            params,
        )


def hold(campaign_id: UUID) -> None:
    """Waits for the batches that are at work; those that come later wait for this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s::uuid::text, 0))", [campaign_id])
