"""How far campaigns have come: their calls counted by status, from the tally that the database keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from campaigns.models import Call, CallTally

S = Call.Status

# New rows of the tally that are added up at once.
COMPACT_BATCH = 10_000


@dataclass(frozen=True)
class Progress:
    """Calls by status. untried: of those that failed or were canceled, without one attempt; retrying_live: of those in
    progress, at a retry; attempts: those that have ended and counted."""

    by_status: dict[str, int] = field(default_factory=dict)
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
        return self.count(S.COMPLETED, S.FAILED, S.CANCELED)


def of(campaign_ids: Iterable[UUID]) -> dict[UUID, Progress]:
    """The progress of each of these campaigns, in one query."""
    ids = list(campaign_ids)
    rows = (
        CallTally.objects.filter(campaign_id__in=ids)
        .values_list("campaign_id", "status", "tried")
        .annotate(Sum("calls"), Sum("attempts"))
    )
    counted: dict[UUID, list[Counted]] = {}
    for campaign_id, *row in rows:
        counted.setdefault(campaign_id, []).append(Counted(*row))
    return {campaign_id: _progress(counted.get(campaign_id, [])) for campaign_id in ids}


def compact() -> int:
    """Adds up the tally of campaigns with new rows, to one for each status and `tried`; answers how many rows it saved.

    Readers see the rows before or after, never half of it. Two at once take different rows.
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
class Counted:
    """A campaign's calls in one status, those with an attempt that counted apart from those without."""

    status: str
    tried: bool
    calls: int
    attempts: int


def _progress(counted: Sequence[Counted]) -> Progress:
    by_status: dict[str, int] = {}
    for each in counted:
        by_status[each.status] = by_status.get(each.status, 0) + each.calls
    return Progress(
        by_status={status: calls for status, calls in by_status.items() if calls},
        untried=sum(each.calls for each in counted if each.status in {S.FAILED, S.CANCELED} and not each.tried),
        retrying_live=sum(each.calls for each in counted if each.status == S.IN_PROGRESS and each.tried),
        attempts=sum(each.attempts for each in counted),
    )
