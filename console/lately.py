"""The attempts of the last minutes, added up by PostgreSQL: at most MOST_READ of them, the newest.

On a busy server that is the last minute or two, which is what a rate is for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from console.stops import Accounts
from dialer.models import CallAttempt

Status = CallAttempt.Status

MOST_READ = 5_000
LATELY = timedelta(minutes=10)
ENDED = (Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED)

_BY_CAMPAIGN, _BY_MINUTE = "campaign", "minute"


@dataclass(frozen=True)
class Lately:
    """What was dialed within some minutes.

    Attributes:
        starts: attempts that were placed in the last of those minutes.
        first_placed: when the first of all was placed.
        ends: attempts that ended, by campaign.
        by_minute: the same by the minute of their end, and whether somebody was reached.
    """

    starts: int = 0
    first_placed: datetime | None = None
    ends: Mapping[UUID, int] = field(default_factory=dict)
    by_minute: Mapping[tuple[datetime, bool], int] = field(default_factory=dict)

    @property
    def answer_rate(self) -> float | None:
        """Return the share of the ended ones that reached somebody, from 0 to 1; None where none has ended."""
        ended = sum(self.by_minute.values())
        reached = sum(count for (_, is_reached), count in self.by_minute.items() if is_reached)
        return reached / ended if ended else None


def read(accounts: Accounts, at: datetime, *, is_past: bool = False) -> Lately:
    """Read the attempts of these accounts that were claimed since LATELY before a moment. One statement.

    Args:
        is_past: leave out those that were claimed after that moment.
    """
    params = {
        "from": _first_id(at - LATELY),
        "until": _first_id(at) if is_past else None,
        "accounts": None if accounts is None else list(accounts),
        "ended": [status.value for status in ENDED],
        "minute_ago": at - timedelta(minutes=1),
        "most": MOST_READ,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADD_UP, params)
        rows = cursor.fetchall()
    [(starts, first_placed)] = [row[-2:] for row in rows if row[0] is None]
    return Lately(
        starts,
        first_placed,
        ends={campaign: ends for kind, campaign, _, _, ends, *_ in rows if kind == _BY_CAMPAIGN},
        by_minute={
            (minute, is_reached): ends
            for kind, _, minute, is_reached, ends, *_ in rows
            if kind == _BY_MINUTE and minute is not None and ends
        },
    )


def _first_id(at: datetime) -> UUID:
    """Return the smallest UUID of version 7 of this moment: its first 48 bits are the milliseconds since 1970."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


# The kind of a row is null in that of all together, which is there also where nothing was found.
_ADD_UP = """
    WITH newest AS MATERIALIZED (
        SELECT campaign_id, status, placing_at, ended_at FROM dialer_callattempt
        WHERE id >= %(from)s AND (%(until)s::uuid IS NULL OR id < %(until)s::uuid)
            AND (%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s::bigint[]))
        ORDER BY id DESC LIMIT %(most)s
    )
    SELECT
        CASE WHEN grouping(campaign_id) = 0 THEN 'campaign' WHEN grouping(minute) = 0 THEN 'minute' END,
        campaign_id, minute, is_reached,
        count(*) FILTER (WHERE status = ANY(%(ended)s::text[])),
        count(*) FILTER (WHERE placing_at > %(minute_ago)s),
        min(placing_at)
    FROM (
        SELECT *, date_trunc('minute', ended_at) AS minute, status = 'completed' AS is_reached FROM newest
    ) AS attempt
    GROUP BY GROUPING SETS ((), (campaign_id), (minute, is_reached))
"""
