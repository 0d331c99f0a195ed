"""Calls that a rule for their number holds until a moment: the only module that holds and releases calls that wait.

A held call is not due, so it costs dispatch nothing until then. Its status stays: waiting is no event in its history.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from campaigns import campaign_lock
from campaigns.models import Call, Campaign
from core.task_queue import enqueue

RELEASE = "campaigns.release_held"


class Hold(NamedTuple):
    """A call that must not be dialed before a moment, because of that rule."""

    call_id: int
    until: datetime
    rule: str


def hold(holds: Sequence[Hold]) -> None:
    """Hold calls that the caller's transaction has locked. One statement."""
    if not holds:
        return
    call_ids, moments, rules = zip(*holds, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE campaigns_call AS call SET next_attempt_at = held.until, rule = held.rule
            FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS held(id, until, rule)
            WHERE call.id = held.id AND call.status IN ('created', 'retrying')
            """,
            [list(call_ids), list(moments), list(rules)],
        )


def release_soon(account_id: int, numbers: Sequence[str] | None = None) -> None:
    """Let a worker release the account's held calls, after the commit: what they wait for may have changed.

    Args:
        numbers: those to these alone.
    """
    given = () if numbers is None else (list(numbers),)
    transaction.on_commit(lambda: enqueue(RELEASE, account_id, *given))


def release(account_id: int, now: datetime, numbers: Sequence[str] | None = None) -> int:
    """Make the account's held calls due, or those to these numbers, so that the rules are asked again.

    Returns how many.
    """
    held = Call.objects.filter(~Q(rule=""), campaign=OuterRef("pk"), next_attempt_at__gt=now)
    if numbers is not None:
        held = held.filter(number__in=list(numbers))
    running = Campaign.objects.filter(account=account_id, status__in=Campaign.OPEN)
    released = 0
    for campaign_id in running.filter(Exists(held)).values_list("pk", flat=True):
        with connection.cursor() as cursor:
            these = None if numbers is None else list(numbers)
            cursor.execute(_RELEASE, {"campaign": campaign_id, "now": now, "numbers": these})
            released += cursor.rowcount
        # Only then, and shortly: a look that took them for held has kept that the campaign is idle (campaigns.idle).
        with transaction.atomic():
            campaign_lock.hold_shared("SELECT %s::uuid", campaign_id)
            Campaign.objects.filter(pk=campaign_id).update(idle_until=None)
    return released


# Their holds have ended. Calls that others have locked are being dialed or ended.
_RELEASE = """
    UPDATE campaigns_call AS call SET next_attempt_at = %(now)s
    FROM (
        SELECT id FROM campaigns_call
        WHERE campaign_id = %(campaign)s AND rule <> '' AND next_attempt_at > %(now)s
            AND (%(numbers)s::text[] IS NULL OR number = ANY(%(numbers)s::text[]))
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS held WHERE call.id = held.id
"""
