"""End the calls that wait in campaigns that have come to their end: in slices, each a transaction of its own.

A large campaign has half a million of them. In one transaction they would take minutes, and hold up everybody else's
outcomes. So a campaign moves first: from then on the gate is shut and nobody can change the campaign. `is_ending` says
so, until the last waiting call has ended. A process that dies in between loses the slice that it was at, and the next
tick goes on. A call that can't be ended is given up alone: it holds up neither its campaign nor others.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction

from campaigns import call_states, campaign_states, progress, signals
from campaigns.models import Call, Campaign
from core import failpoints, lazy_commits
from core.batches import TRANSIENT_ERRORS, one_by_one, together
from core.state_machine import Move
from core.task_queue import enqueue_once

log = structlog.get_logger(__name__)

Status = Campaign.Status

WORK = "end waiting calls"  # in the log
END_DUE = "campaigns.end_due"  # the task, and the key under which its message is enqueued once

# Calls of one transaction: a tenth of a second.
SLICE = 2_000
# Where one of a slice can't be ended, so many are tried together, and one by one only those among which it is.
FEW = 50
# How long one task ends slices, in seconds. Then it enqueues itself, behind what others have enqueued meanwhile.
TURN_SECONDS = 0.5
# The advisory lock of turns. Two at a time would take both processes of a control worker from everybody else.
_LOCK = 0x656E6473


class Fate(NamedTuple):
    """What becomes of calls that were never attempted, and why; those that wait for a retry fail."""

    untried: str
    reason: str


class Waiting(NamedTuple):
    """A call that waits: for its first try, which a rule may hold until then, or for a retry at that time."""

    pk: int
    due_at: datetime | None
    status: str

    def __str__(self) -> str:
        return f"call {self.pk}"


def begin(campaigns: Sequence[Campaign], to: str, *, at: datetime, reason: str) -> None:
    """Move campaigns to their end, inside the caller's transaction and under their locks.

    The calls of many campaigns end after the commit, a slice of each in turn. Those of one campaign begin to end here:
    most have no more than one slice. With more calls, or with one that can't be ended, it goes on after the commit too.
    """
    campaign_states.move(campaigns, to, at=at, reason=reason, ended_at=at, is_ending=True, is_loading=False)
    if len(campaigns) == 1:
        _end_first_slice(campaigns[0], at)
    if any(campaign.is_ending for campaign in campaigns):
        transaction.on_commit(enqueue_turn)


def _end_first_slice(campaign: Campaign, at: datetime) -> None:
    def end_first_slice() -> None:
        with transaction.atomic():
            _find_faults_before_the_commit()
            _Sweep(campaign.pk).end_slice(campaign, at, _end)

    together(WORK, end_first_slice, otherwise=lambda: None)


def mark_expired(now: datetime) -> None:
    """Shut the campaigns whose end has come: nobody can change them any more. One that is just changed is left alone.

    They stay open until the calls that are up have finished.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SHUT_EXPIRED, {"open": _OPEN, "now": now})


_OPEN = [status.value for status in Campaign.OPEN]
_SHUT_EXPIRED = """
    UPDATE campaigns_campaign SET is_ending = true, is_loading = false WHERE id = ANY(ARRAY(
        SELECT id FROM campaigns_campaign WHERE status = ANY(%(open)s) AND expires_at <= %(now)s AND NOT is_ending
        FOR NO KEY UPDATE SKIP LOCKED
    ))
"""


def take_turn(now: datetime, seconds: float) -> bool:
    """End slices of all campaigns that are ending, one of each in turn. Returns whether there is more to end at once.

    Calls that another process has locked are passed over, and left to the next tick.
    """
    until = time.monotonic() + seconds
    sweeps = deque(_sweeps_of(_with_calls_to_end()))
    while sweeps:
        sweep = sweeps.popleft()
        try:
            has_more = sweep.end_next(now)
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


def given_up() -> list[int]:
    """Return the calls of campaigns that are ending that this process could not even mark as failed."""
    return [pk for sweep in _sweeps.values() for pk in sweep.given_up]


def enqueue_turn() -> None:
    enqueue_once(END_DUE, END_DUE)


def _with_calls_to_end() -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_WITH_CALLS_TO_END, {"open": _OPEN})
        return [row[0] for row in cursor.fetchall()]


# The status first, as PostgreSQL asks in this order: a look for calls passes over all that have just ended.
_WITH_CALLS_TO_END = """
    SELECT id FROM campaigns_campaign AS campaign
    WHERE is_ending AND (status <> ALL(%(open)s) OR EXISTS (
        SELECT FROM campaigns_call WHERE campaign_id = campaign.id AND status IN ('created', 'retrying')
    )) ORDER BY expires_at, id
"""


def _fate(campaign: Campaign) -> Fate:
    """Return what becomes of its calls: time that ran out cancels them, a person who ended the campaign fails them."""
    if campaign.status == Status.COMPLETED:
        return Fate(Call.Status.FAILED, "the campaign was completed on request")
    if campaign.status == Status.FAILED:
        return Fate(Call.Status.FAILED, "the campaign's text can't be read with the values of its list")
    if campaign.status == Status.DELETED:
        return Fate(Call.Status.FAILED, "the campaign was deleted")
    if campaign.status == Status.PAUSED:
        return Fate(Call.Status.FAILED, "the campaign was paused until its end")
    return Fate(Call.Status.CANCELED, "the campaign's end came first")


End = Callable[[Campaign, Sequence[Waiting], datetime], None]


@dataclass
class _Sweep:
    """The way through the waiting calls of one campaign: first tries, those that are held, retries, each by its index.

    It starts each slice where the one before it ended. From the beginning it would meet all entries that those have
    left behind, which stay until vacuum removes them.
    """

    campaign_id: UUID
    last: Waiting | None = None
    # Left as they are, and left out from then on.
    given_up: set[int] = field(default_factory=set)

    def end_next(self, at: datetime) -> bool:
        """End the next slice, in a transaction of its own. Returns whether there is more to end at once."""
        rows = together(WORK, lambda: self._turn(at, _end), otherwise=lambda: self._turn(at, self._end_what_can_be))
        has_more = len(rows) == SLICE
        self.last = rows[-1] if has_more else None
        return has_more

    def _turn(self, at: datetime, end: End) -> Sequence[Waiting]:
        with transaction.atomic():
            # What a crash takes back of it, calls and webhooks alike, still waits, and is ended by the next turn.
            lazy_commits.allow()
            campaign = self._lock()
            rows = self.end_slice(campaign, at, end) if campaign else []
            failpoints.reached("slice-before-commit")
        return rows

    def _lock(self) -> Campaign | None:
        """Return the campaign where this process may end calls of it: no other one does, and it is still ending."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            [[is_alone]] = cursor.fetchall()
        return Campaign.objects.filter(pk=self.campaign_id, is_ending=True).first() if is_alone else None

    def end_slice(self, campaign: Campaign, at: datetime, end: End) -> Sequence[Waiting]:
        """End the next calls with that function, inside the caller's transaction. Returns them; fewer are the last."""
        rows = self._lock_calls()
        end(campaign, rows, at)
        # An open campaign ends when its calls that are up have finished: then it is closed.
        if len(rows) < SLICE and not campaign.is_open and not self._is_any_left():
            _finish(campaign)
        return rows

    def _end_what_can_be(self, campaign: Campaign, rows: Sequence[Waiting], at: datetime) -> None:
        """End a slice with a call that can't be ended. That one fails without a webhook, or is left as it is."""
        faulty: list[Waiting] = []

        def give_up(row: Waiting, error: Exception) -> None:
            faulty.append(row)
            self.given_up.add(row.pk)
            _move([row], Fate(Call.Status.FAILED, f"a fault of this server: {type(error).__name__}"), at)
            self.given_up.discard(row.pk)

        _find_faults_before_the_commit()
        for start in range(0, len(rows), FEW):
            few = rows[start : start + FEW]
            together(
                WORK,
                lambda few=few: _end_undoing(campaign, few, at),  # type: ignore[misc]
                otherwise=lambda few=few: one_by_one(  # type: ignore[misc]
                    WORK, few, lambda row: _end(campaign, [row], at), give_up=give_up
                ),
            )
        if faulty:
            log.error("calls_given_up", campaign=self.campaign_id.hex, calls=len(faulty), unmarked=len(self.given_up))

    def _lock_calls(self) -> list[Waiting]:
        """Lock the next waiting calls, but for those that others have locked."""
        rows: list[Waiting] = []
        given_up = list(self.given_up)
        last = self.last or Waiting(0, None, Call.Status.CREATED)
        reached = _KINDS.index(_kind_of(last))
        with connection.cursor() as cursor:
            for kind in _KINDS[reached:]:
                due_at, pk = (last.due_at, last.pk) if kind is _KINDS[reached] else (None, 0)
                cursor.execute(kind, [self.campaign_id, due_at, pk, given_up, SLICE - len(rows)])
                rows += map(Waiting._make, cursor.fetchall())
        return rows

    def _is_any_left(self) -> bool:
        waiting = [Call.Status.CREATED, Call.Status.RETRYING]
        left = Call.objects.filter(campaign=self.campaign_id, status__in=waiting)
        return left.exclude(pk__in=self.given_up).exists()


# Parameters: the campaign, the place of the last call in the index (due when, id), calls to leave out, how many.
_FIRST_TRIES = """
    SELECT id, next_attempt_at, status FROM campaigns_call
    WHERE campaign_id = %s AND status = 'created' AND next_attempt_at IS NULL AND %s::timestamptz IS NULL AND id > %s
        AND id <> ALL(%s::bigint[])
    ORDER BY next_attempt_at, id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_RETRIES = """
    SELECT id, next_attempt_at, status FROM campaigns_call
    WHERE campaign_id = %s AND status = 'retrying'
        AND (next_attempt_at, id) > (coalesce(%s::timestamptz, '-infinity'), %s) AND id <> ALL(%s::bigint[])
    ORDER BY next_attempt_at, id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_HELD = _RETRIES.replace("'retrying'", "'created'")
_KINDS = (_FIRST_TRIES, _HELD, _RETRIES)


def _kind_of(row: Waiting) -> str:
    if row.status == Call.Status.RETRYING:
        return _RETRIES
    return _HELD if row.due_at else _FIRST_TRIES


# The sweeps that this process is at, from one turn to the next, by campaign.
_sweeps: dict[UUID, _Sweep] = {}


def _sweeps_of(campaign_ids: Sequence[UUID]) -> list[_Sweep]:
    """Return the sweeps of these campaigns, and forget all others."""
    global _sweeps
    _sweeps = {campaign_id: _sweeps.get(campaign_id) or _Sweep(campaign_id) for campaign_id in campaign_ids}
    return list(_sweeps.values())


def _end(campaign: Campaign, rows: Sequence[Waiting], at: datetime) -> None:
    """End these calls, and tell of it, inside the caller's transaction."""
    if ended := _move(rows, _fate(campaign), at):
        left = progress.of([campaign.pk])[campaign.pk].count(Call.Status.CREATED, Call.Status.RETRYING)
        signals.calls_ended.send(Campaign, campaigns=[campaign], call_ids=sorted(ended), at=at, calls_left=left)


def _end_undoing(campaign: Campaign, rows: Sequence[Waiting], at: datetime) -> None:
    """Do the same; where it fails, leave no trace of it in the caller's transaction."""
    with transaction.atomic():
        _end(campaign, rows, at)


def _move(rows: Sequence[Waiting], fate: Fate, at: datetime) -> set[int]:
    end = call_states.end_columns(at=at, reason=fate.reason)
    failed = Call.Status.FAILED
    return call_states.move(
        [
            Move(row.pk, failed if row.status == Call.Status.RETRYING else fate.untried, fate.reason, end)
            for row in rows
        ],
        at=at,
    )


def _find_faults_before_the_commit() -> None:
    """Check constraints at each statement. At the commit a fault of one call would undo the whole transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _finish(campaign: Campaign) -> None:
    """Note that no call of the campaign waits any more, inside the caller's transaction."""
    Campaign.objects.filter(pk=campaign.pk).update(is_ending=False)
    signals.endings_finished.send(Campaign, campaigns=[campaign])
    campaign.is_ending = False
