"""The most calls and minutes of an account in a day: what it has used, and whether more may be dialed.

An account with a limit counts the calls that were placed since midnight in its time zone. Calls that are up when the
minutes are used up go on, and so do the calls to other numbers that their flows make, which count for nothing here.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db import connection

from accounts.models import Account
from dialer.models import CallAttempt

# Rows that one compaction takes, and for how long they are kept: a day is over everywhere after two.
COMPACT_BATCH = 10_000
KEPT = timedelta(days=3)


@dataclass(frozen=True)
class Usage:
    """The calls placed, and the seconds talked in them, in an account's day, from `since` up to `until`."""

    since: datetime
    until: datetime
    calls: int
    seconds: int


def load(accounts: Iterable[Account], now: datetime) -> None:
    """Load what those of the accounts with a limit have used today, in one query at the most.

    It is kept with the instance, which must not outlive a task or a request.
    """
    limited: dict[int, list[Account]] = defaultdict(list)
    for account in accounts:
        if has_limit(account):
            limited[account.pk].append(account)
    if not limited:
        return
    days = {pk: day_of(of_one[0], now) for pk, of_one in limited.items()}
    since, until = zip(*days.values(), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT day.account_id, coalesce(sum(change.calls), 0), coalesce(sum(change.seconds), 0)
            FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS day(account_id, since, until)
            LEFT JOIN dialer_usagechange AS change ON change.account_id = day.account_id
                AND change.at >= day.since AND change.at < day.until
            GROUP BY 1
            """,
            [list(days), list(since), list(until)],
        )
        for pk, calls, seconds in cursor.fetchall():
            for account in limited[pk]:
                account.usage = Usage(*days[pk], int(calls), int(seconds))  # type: ignore[attr-defined]


def usage_of(account: Account, now: datetime) -> Usage:
    """Return what an account with a limit has used today, as it was loaded; one query where it was not."""
    if not hasattr(account, "usage"):
        load([account], now)
    usage: Usage = account.usage  # type: ignore[attr-defined]
    return usage


def has_limit(account: Account) -> bool:
    return account.daily_calls is not None or account.daily_minutes is not None


def reached(account: Account, at: datetime) -> tuple[str, datetime] | None:
    """Return which limit of the account's present day is reached, and when that day ends; None while none is.

    Args:
        at: now, or a later moment. Nothing is used of a later day.
    """
    if not has_limit(account):
        return None
    usage = usage_of(account, at)
    if at >= usage.until:
        return None
    if account.daily_calls is not None and usage.calls >= account.daily_calls:
        return _counted(account.daily_calls, "call"), usage.until
    if account.daily_minutes is not None and usage.seconds >= account.daily_minutes * 60:
        return _counted(account.daily_minutes, "minute"), usage.until
    return None


def calls_left(account: Account, now: datetime) -> int | None:
    """Return how many calls more may be claimed today; None without a limit. Those that are claimed count as placed.

    Exact while one run at a time claims for the account.
    """
    if account.daily_calls is None:
        return None
    claimed = CallAttempt.objects.filter(account=account.pk, status=CallAttempt.Status.CLAIMED)
    # Before the usage: an attempt that is placed between the two queries is counted twice, and none is missed.
    waiting = claimed.count()
    load([account], now)
    return max(0, account.daily_calls - usage_of(account, now).calls - waiting)


def share_used(account: Account, now: datetime) -> float:
    """Return the share of the limit that is used up most; 1 and above: it is reached."""
    usage = usage_of(account, now)
    return max(
        usage.calls / account.daily_calls if account.daily_calls else 0.0,
        usage.seconds / (account.daily_minutes * 60) if account.daily_minutes else 0.0,
    )


def compact(now: datetime) -> int:
    """Replace new rows by their sums, one for each account and quarter of an hour, and delete old ones.

    One statement, so readers see the rows either before or after it. Two compactions at once take different rows.

    Returns the number of rows saved.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH fresh AS MATERIALIZED (
                SELECT DISTINCT account_id, at FROM (
                    SELECT account_id, at FROM dialer_usagechange WHERE NOT is_sum ORDER BY id LIMIT %s
                ) AS oldest
            ), taken AS (
                DELETE FROM dialer_usagechange WHERE id IN (
                    SELECT id FROM dialer_usagechange WHERE (account_id, at) IN (SELECT account_id, at FROM fresh)
                    FOR UPDATE SKIP LOCKED
                ) RETURNING account_id, at, calls, seconds
            ), added_up AS (
                INSERT INTO dialer_usagechange (account_id, at, calls, seconds, is_sum)
                SELECT account_id, at, sum(calls), sum(seconds), true FROM taken WHERE at > %s
                GROUP BY 1, 2 HAVING sum(calls) <> 0 OR sum(seconds) <> 0 RETURNING 1
            )
            SELECT (SELECT count(*) FROM taken) - (SELECT count(*) FROM added_up)
            """,
            [COMPACT_BATCH, now - KEPT],
        )
        saved = int(cursor.fetchone()[0])
        cursor.execute("DELETE FROM dialer_usagechange WHERE is_sum AND at <= %s", [now - KEPT])
        return saved + int(cursor.rowcount)


def day_of(account: Account, now: datetime) -> tuple[datetime, datetime]:
    """Return when the account's present day began, and when the next one will."""
    today = now.astimezone(account.zone).date()
    since, until = (datetime.combine(day, time(0), account.zone) for day in (today, today + timedelta(days=1)))
    return since, until


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
