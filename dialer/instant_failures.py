"""A breaker for calls that the carrier takes and that fail at once: no phone can have rung for long.

Without it a campaign dials all its numbers, with all their retries, in seconds, and reaches nobody. A run of
INSTANT_FAILURES_BEFORE_REST such calls, of different numbers, lets the caller ID rest; then one call at a time tries.
The run ends with any other outcome, an answer, or a call that has been up for longer, where that call was placed after
the run began: a conversation that began before it says nothing about calls that are placed now.

A list of dead numbers looks the same as a carrier that fails every call. The run is counted for the caller ID, which
belongs to one account, so that such a list slows down its own account and nobody else on the trunk.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from dialer import rests
from dialer.models import CallAttempt, CallerIdHealth

log = structlog.get_logger(__name__)

# Each call that tries it costs an attempt, unlike one that is refused, so the rests grow longer.
LONGEST_REST = timedelta(minutes=5)


class End(NamedTuple):
    """How the carrier's news ended an attempt."""

    caller_id: int
    trunk: int
    number: str
    placing_at: datetime
    is_instant: bool


def is_instant(attempt: CallAttempt) -> bool:
    """Tell whether an attempt that has ended failed at once."""
    if attempt.status != CallAttempt.Status.FAILED or attempt.answered_at or not attempt.ended_at:
        return False
    assert attempt.placing_at is not None  # the database says so of every attempt that failed
    return attempt.ended_at - attempt.placing_at <= timedelta(seconds=settings.INSTANT_FAILURE_SECONDS)


def note(ends: Sequence[End], now: datetime) -> None:
    """Count the ends of a batch, in their order, inside the transaction that stores them.

    Does nothing to the database while no call fails at once and no run is under way: then it is one query.
    """
    by_caller_id: dict[int, list[End]] = defaultdict(list)
    for end in ends:
        by_caller_id[end.caller_id].append(end)
    failing = [pk for pk, own in by_caller_id.items() if any(end.is_instant for end in own)]
    if not failing and not _has_run(by_caller_id):
        return
    if failing:
        CallerIdHealth.objects.bulk_create([CallerIdHealth(pk=pk) for pk in sorted(failing)], ignore_conflicts=True)
    with_run = CallerIdHealth.objects.exclude(failing_numbers=[]) | CallerIdHealth.objects.filter(pk__in=failing)
    rows = with_run.filter(pk__in=list(by_caller_id)).select_related("caller_id").order_by("pk")
    for health in rows.select_for_update(of=("self",)):
        was_failing = health.is_failing
        for end in by_caller_id[health.pk]:
            # A call over another trunk than the present one says nothing about this one.
            if end.trunk == health.caller_id.trunk_id:
                _count(health, end)
        if health.is_failing and health.pk in failing:
            _rest_unless_others_are_up(health, now)
        elif was_failing and not health.is_failing:
            _end_rest(health)
        health.save()


def _has_run(caller_ids: Collection[int]) -> bool:
    """Whether a run of one of these is under way. Asked for each batch: Django's query would take a millisecond."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM dialer_calleridhealth WHERE caller_id_id = ANY(%s) AND failing_numbers <> '[]' LIMIT 1",
            [list(caller_ids)],
        )
        return bool(cursor.rowcount)


def answered(attempt_ids: Collection[UUID]) -> None:
    """End the runs, and the rests for them, that began before these attempts were placed: a person picked up."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_calleridhealth AS health
            SET failing_numbers = '[]', failing_since = NULL, failures = 0, down_since = NULL, resting_until = NULL,
                next_try_at = NULL, last_error = ''
            FROM dialer_callattempt AS attempt JOIN campaigns_campaign AS campaign ON campaign.id = attempt.campaign_id
            JOIN accounts_callerid AS line ON line.id = campaign.caller_id_id AND line.trunk_id = attempt.trunk_id
            WHERE attempt.id = ANY(%s) AND health.caller_id_id = campaign.caller_id_id
                AND attempt.placing_at >= health.failing_since
            """,
            [list(attempt_ids)],
        )


def _count(health: CallerIdHealth, end: End) -> None:
    if not end.is_instant:
        if health.failing_since and end.placing_at >= health.failing_since:
            health.failing_numbers, health.failing_since = [], None
        return
    if not health.failing_numbers:
        health.failing_since = end.placing_at
    if not health.is_failing and end.number not in health.failing_numbers:
        health.failing_numbers.append(end.number)


def _rest_unless_others_are_up(health: CallerIdHealth, now: datetime) -> None:
    up_for_longer = CallAttempt.objects.filter(
        campaign__caller_id=health.pk,
        trunk=health.caller_id.trunk_id,
        status=CallAttempt.Status.IN_PROGRESS,
        placing_at__gte=health.failing_since,
        placing_at__lt=now - timedelta(seconds=settings.INSTANT_FAILURE_SECONDS),
    )
    if up_for_longer.exists():
        health.failing_numbers, health.failing_since = [], None
        _end_rest(health)
        return
    error = f"{len(health.failing_numbers)} calls in a row failed within {settings.INSTANT_FAILURE_SECONDS:g} s"
    if rest := rests.begin(health, error, now, longest=LONGEST_REST):
        log.warning(
            "calls_fail_at_once",
            caller_id=health.caller_id.number,
            failures=health.failures,
            rest_seconds=rest.seconds,
            error=error,
        )


def _end_rest(health: CallerIdHealth) -> None:
    if health.failures:
        log.info("caller_id_up", caller_id=health.caller_id.number, failures=health.failures)
    rests.end(health)
