"""The progress of campaigns: their calls counted by status, from the tally that a trigger keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from campaigns.models import Call

Status = Call.Status
# In the tally: failed because its number is on the do-not-call list.
LISTED = "failed-dnd"

# New rows of the tally that one compaction takes.
COMPACT_BATCH = 10_000


@dataclass(frozen=True)
class Progress:
    """The calls of a campaign, counted.

    Attributes:
        by_status: calls in each status that has any.
        listed: those that failed because their number is on the do-not-call list.
        untried: those that failed or were canceled without a single attempt, but for the listed ones.
        retrying_live: those in progress whose attempt is a retry.
        attempts: attempts that have ended and counted, of all calls.
    """

    by_status: dict[str, int] = field(default_factory=dict)
    listed: int = 0
    untried: int = 0
    retrying_live: int = 0
    attempts: int = 0

    def count(self, *statuses: str) -> int:
        return sum(self.by_status.get(status, 0) for status in statuses)

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def ended(self) -> int:
        return self.count(Status.COMPLETED, Status.FAILED, Status.CANCELED)


def of(campaign_ids: Iterable[UUID]) -> dict[UUID, Progress]:
    """Return the progress of each of these campaigns, in one query."""
    ids = list(campaign_ids)
    with connection.cursor() as cursor:
        cursor.execute(SUMS, {"campaigns": ids})
        return of_sums(ids, cursor.fetchall())


# A part of larger statements, too, so that a response needs fewer of them.
SUMS = """
    SELECT campaign_id, status, tried, sum(calls) AS calls, sum(attempts) AS attempts FROM campaigns_calltally
    WHERE campaign_id = ANY(%(campaigns)s::uuid[]) GROUP BY 1, 2, 3
"""


def of_sums(campaign_ids: Iterable[UUID], rows: Iterable[Sequence[Any]]) -> dict[UUID, Progress]:
    """Return the progress of each of these campaigns by the rows of SUMS, whose ids may be texts."""
    sums: dict[str, list[_Sum]] = {}
    for campaign_id, status, tried, calls, attempts in rows:
        sums.setdefault(str(campaign_id), []).append(_Sum(status, tried, int(calls), int(attempts)))
    return {campaign_id: _progress(sums.get(str(campaign_id), [])) for campaign_id in campaign_ids}


def of_new(calls: int) -> Progress:
    """Return the progress of a campaign that was just created with so many calls."""
    return Progress(by_status={Status.CREATED.value: calls} if calls else {})


def compact() -> int:
    """Replace the tally's rows of campaigns with new ones by their sums, one for each status and `tried`.

    One statement, so readers see the rows either before or after it. Two compactions at once take different rows.

    Returns the number of rows saved.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH fresh AS MATERIALIZED (
                SELECT DISTINCT campaign_id FROM (
                    SELECT campaign_id FROM campaigns_calltally WHERE NOT is_sum ORDER BY id LIMIT %s
                ) AS oldest
            ), taken AS (
                DELETE FROM campaigns_calltally WHERE id IN (
                    SELECT id FROM campaigns_calltally WHERE campaign_id IN (SELECT campaign_id FROM fresh)
                    FOR UPDATE SKIP LOCKED
                ) RETURNING campaign_id, status, tried, calls, attempts
            ), added_up AS (
                INSERT INTO campaigns_calltally (campaign_id, status, tried, calls, attempts, is_sum)
                SELECT campaign_id, status, tried, sum(calls), sum(attempts), true FROM taken
                GROUP BY 1, 2, 3 HAVING sum(calls) <> 0 OR sum(attempts) <> 0 RETURNING 1
            )
            SELECT (SELECT count(*) FROM taken) - (SELECT count(*) FROM added_up)
            """,
            [COMPACT_BATCH],
        )
        return int(cursor.fetchone()[0])


@dataclass(frozen=True)
class _Sum:
    """A campaign's calls in one status, or listed, either those with an attempt that counted or those without."""

    status: str
    tried: bool
    calls: int
    attempts: int


def _progress(sums: Sequence[_Sum]) -> Progress:
    by_status: dict[str, int] = {}
    for row in sums:
        status = Status.FAILED if row.status == LISTED else row.status
        by_status[status] = by_status.get(status, 0) + row.calls
    return Progress(
        by_status={status: calls for status, calls in by_status.items() if calls},
        listed=sum(row.calls for row in sums if row.status == LISTED),
        untried=sum(row.calls for row in sums if row.status in {Status.FAILED, Status.CANCELED} and not row.tried),
        retrying_live=sum(row.calls for row in sums if row.status == Status.IN_PROGRESS and row.tried),
        attempts=sum(row.attempts for row in sums),
    )
