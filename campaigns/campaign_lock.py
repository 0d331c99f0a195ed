"""The lock of a campaign: code that moves its calls holds it shared, code that changes its state holds it exclusively.

So the batches of one campaign do not wait for each other, and a batch that decides about a retry sees a pause or an end
either before or after that change, never halfway. It is an advisory lock of PostgreSQL, held to the end of the
transaction, and not a lock on the row, because it is fair: the next holder is the one that has waited longest. On a row
that one batch after another keeps locked, a person's request to pause might never get its turn.

Take it before locking any row of the campaign.
"""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from django.db import connection


def hold_shared(campaign_ids: LiteralString, *parameters: Any) -> list[UUID]:
    """Lock the campaigns shared, in one order, so that two batches never wait for each other.

    Args:
        campaign_ids: a query of one column. In SQL, as Django takes as long to write one as PostgreSQL to run it.
        parameters: of the query.

    Returns:
        The ids of the campaigns.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id, pg_advisory_xact_lock_shared(key) FROM (
                SELECT DISTINCT hashtextextended(id::text, 0) AS key, id FROM ({campaign_ids}) AS campaign(id)
                ORDER BY 1, 2
            ) AS keys
            """,  # noqa: S608 -- a text of this program, its values are parameters
            parameters,
        )
        return [row[0] for row in cursor.fetchall()]


def hold(campaign_ids: Sequence[UUID]) -> None:
    """Lock the campaigns exclusively: wait for the batches at work, and make later ones wait for this transaction.

    In the same order as `hold_shared`, so that nobody waits for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pg_advisory_xact_lock(key) FROM (
                SELECT DISTINCT hashtextextended(id::text, 0) AS key FROM unnest(%s::uuid[]) AS campaign(id) ORDER BY 1
            ) AS keys
            """,
            [list(campaign_ids)],
        )


def try_hold(campaign_ids: Sequence[UUID]) -> list[UUID]:
    """Lock those campaigns exclusively that nobody holds at the moment. Returns their ids; waits for none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM unnest(%s::uuid[]) AS campaign(id)"
            " WHERE pg_try_advisory_xact_lock(hashtextextended(id::text, 0))",
            [list(campaign_ids)],
        )
        return [row[0] for row in cursor.fetchall()]
