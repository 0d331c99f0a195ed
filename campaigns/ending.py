"""End the calls that wait in campaigns that have come to their end: in slices, each a transaction of its own.

A large campaign has half a million of them. In one transaction they would take minutes, and hold up everybody else's
outcomes. So a campaign moves first: from then on the gate is shut and nobody can change the campaign. `is_ending` says
so, until the last waiting call has ended. A process that dies in between loses the slice that it was at, and the next
tick goes on.
"""

import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from campaigns import call_states, campaign_states, signals
from campaigns.models import Call, Campaign
from core import failpoints
from core.batches import TRANSIENT_ERRORS
from core.state_machine import Move
from core.task_queue import enqueue_once

log = structlog.get_logger(__name__)

Status = Campaign.Status

END_DUE = "campaigns.end_due"  # the task, and the key under which its message is enqueued once

# Calls of one transaction: a tenth of a second.
SLICE = 2_000
# How long one task ends slices, in seconds. Then it enqueues itself, behind what others have enqueued meanwhile.
TURN_SECONDS = 0.5
# The advisory lock of turns. Two at a time would take both processes of a control worker from everybody else.
_LOCK = 0x656E6473


class Fate(NamedTuple):
    """What becomes of calls that were never attempted, and why; those that wait for a retry fail."""

    untried: str
    reason: str


def begin(campaign: Campaign, to: str, *, at: datetime, reason: str) -> None:
    """Move a campaign to its end and end its first slice of calls, inside the caller's transaction and under its lock.

    A campaign with more calls than that goes on ending after the commit.
    """
    campaign_states.move([campaign], to, at=at, reason=reason, ended_at=at, is_ending=True)
    _Sweep(campaign.pk).end_slice(campaign, at)
    if campaign.is_ending:
        transaction.on_commit(enqueue_turn)


def mark_expired(now: datetime) -> None:
    """Shut the campaigns whose end has come: nobody can change them any more. One that is just changed is left alone.

    They stay open until the calls that are up have finished.
    """
    expired = Campaign.objects.filter(status__in=Campaign.OPEN, expires_at__lte=now, is_ending=False)
    if expired.exists():
        with transaction.atomic():
            ids = list(expired.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
            Campaign.objects.filter(pk__in=ids).update(is_ending=True)


def take_turn(now: datetime, seconds: float) -> bool:
    """End slices of all campaigns that are ending, one of each in turn. Returns whether there is more to end at once.

    Calls that another process has locked are passed over, and left to the next tick.
    """
    until = time.monotonic() + seconds
    sweeps = deque(_Sweep(campaign_id) for campaign_id in _with_calls_to_end())
    while sweeps:
        sweep = sweeps.popleft()
        try:
            with transaction.atomic():
                campaign = sweep.lock()
                has_more = campaign is not None and sweep.end_slice(campaign, now)
                failpoints.reached("slice-before-commit")
        except TRANSIENT_ERRORS:
            raise
        except Exception:
            # It must not hold up the ends of the others. Its own is tried again at the next tick.
            log.exception("calls_not_ended", campaign=sweep.campaign_id.hex)
            continue
        failpoints.reached("slice-after-commit")
        if has_more:
            sweeps.append(sweep)
        if time.monotonic() >= until:
            break
    return bool(sweeps)


def enqueue_turn() -> None:
    enqueue_once(END_DUE, END_DUE)


def _with_calls_to_end() -> list[UUID]:
    waiting = Call.objects.filter(campaign=OuterRef("pk"), status__in=[Call.Status.CREATED, Call.Status.RETRYING])
    ending = Campaign.objects.filter(is_ending=True).filter(Exists(waiting) | ~Q(status__in=Campaign.OPEN))
    return list(ending.order_by("expires_at", "pk").values_list("pk", flat=True))


def _fate(campaign: Campaign) -> Fate:
    """Return what becomes of its calls: time that ran out cancels them, a person who ended the campaign fails them."""
    if campaign.status == Status.COMPLETED:
        return Fate(Call.Status.FAILED, "the campaign was completed on request")
    if campaign.status == Status.DELETED:
        return Fate(Call.Status.FAILED, "the campaign was deleted")
    if campaign.status == Status.PAUSED:
        return Fate(Call.Status.FAILED, "the campaign was paused until its end")
    return Fate(Call.Status.CANCELED, "the campaign's end came first")


@dataclass
class _Sweep:
    """The way through the waiting calls of one campaign: first tries, then retries, each from its place in the index.

    It starts each slice where the one before it ended. From the beginning it would meet all entries that those have
    left behind, which stay until vacuum removes them.
    """

    campaign_id: UUID
    call_id: int = 0
    retry_at: datetime | None = None

    def lock(self) -> Campaign | None:
        """Return the campaign where this process may end calls of it: no other one does, and it is still ending."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            [[is_alone]] = cursor.fetchall()
        return Campaign.objects.filter(pk=self.campaign_id, is_ending=True).first() if is_alone else None

    def end_slice(self, campaign: Campaign, at: datetime) -> bool:
        """End some calls, inside the caller's transaction. Returns whether there is more to end at once."""
        fate = _fate(campaign)
        rows = self._lock_calls()
        end = call_states.end_columns(at=at, reason=fate.reason)
        moves = [
            Move(call_id, Call.Status.FAILED if retry_at else fate.untried, fate.reason, end)
            for call_id, retry_at in rows
        ]
        if ended := call_states.move(moves, at=at):
            signals.calls_ended.send(Campaign, campaigns=[campaign], call_ids=sorted(ended), at=at)
        if len(rows) == SLICE:
            self.call_id, self.retry_at = rows[-1]
            return True
        # An open campaign ends when its calls that are up have finished: then it is closed.
        if not campaign.is_open and not self._is_any_left():
            _finish(campaign)
        return False

    def _lock_calls(self) -> list[tuple[int, datetime | None]]:
        """Lock the next waiting calls, but for those that others have locked: (id, when its retry is due)."""
        rows: list[tuple[int, datetime | None]] = []
        with connection.cursor() as cursor:
            for sql, place in ((_FIRST_TRIES, [self.call_id]), (_RETRIES, [self.retry_at, self.call_id])):
                if sql == _FIRST_TRIES and self.retry_at:
                    continue
                cursor.execute(sql, [self.campaign_id, *place, SLICE - len(rows)])
                rows += cursor.fetchall()
        return rows

    def _is_any_left(self) -> bool:
        waiting = [Call.Status.CREATED, Call.Status.RETRYING]
        return Call.objects.filter(campaign=self.campaign_id, status__in=waiting).exists()


# Parameters: the campaign, the place of the last call in the index, how many.
_FIRST_TRIES = """
    SELECT id, next_attempt_at FROM campaigns_call
    WHERE campaign_id = %s AND status = 'created' AND next_attempt_at IS NULL AND id > %s
    ORDER BY next_attempt_at, id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_RETRIES = """
    SELECT id, next_attempt_at FROM campaigns_call
    WHERE campaign_id = %s AND status = 'retrying'
        AND (next_attempt_at, id) > (coalesce(%s::timestamptz, '-infinity'), %s)
    ORDER BY next_attempt_at, id LIMIT %s FOR UPDATE SKIP LOCKED
"""


def _finish(campaign: Campaign) -> None:
    """Note that no call of the campaign waits any more, inside the caller's transaction."""
    Campaign.objects.filter(pk=campaign.pk).update(is_ending=False)
    campaign.is_ending = False
    signals.endings_finished.send(Campaign, campaigns=[campaign])
