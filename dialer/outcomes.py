"""What became of attempts: news goes in, and attempts, calls, retries, leases and campaigns follow.

Set-based: a batch is a handful of statements however many attempts it holds. Monotonic: an attempt that has ended takes
no more news, so late, repeated and out-of-order events change nothing. Locks are taken in one order everywhere:
campaigns (shared, see `campaign_lock`), then attempts, each in one order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from campaigns import call_states, campaign_lock, schedule
from campaigns import signals as campaign_signals
from campaigns.models import Call, Campaign, Outcome
from core import failpoints
from core.state_machine import Move
from dialer import attempt_states, channels, messages, retry_policy, signals
from dialer.carriers.base import Event
from dialer.models import CallAttempt
from dialer.retry_policy import RetryPolicy

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

Row = TypeVar("Row", CallAttempt, Call)

NO_EVENT = Event(status="")


@dataclass(frozen=True)
class Ended:
    """An attempt's end, from an event, a refusal, or a decision of ours.

    outcome canceled gives the attempt back: nobody was rung and it counts for nothing. refused: the carrier will not
    place this call, so nobody was rung and there is no retry. final: the call fails with it, whatever retries are left.
    """

    attempt_id: UUID
    outcome: str
    event: Event = NO_EVENT
    http_status: int | None = None
    reason: str = ""
    refused: bool = False
    final: bool = False


def settle(news: Sequence[tuple[UUID, Event]], now: datetime) -> int:
    """Applies events, in their order, to their attempts; answers how many attempts ended."""
    ended: dict[UUID, Ended] = {}
    for attempt_id, event in news:
        if event.status != Status.IN_PROGRESS:
            # The first end counts: what a carrier says after it is news of nothing.
            ended.setdefault(attempt_id, Ended(attempt_id, event.status, event, reason=event.reason))
    up = {attempt_id: event for attempt_id, event in reversed(news) if attempt_id not in ended}
    with transaction.atomic(savepoint=False):
        _hold_campaigns([attempt_id for attempt_id, _ in news])
        if up:
            _note_up(up, _lock({attempt_id for attempt_id, _ in news}), now)
        return _end(ended, _lock_unfinished(ended), now)


def store_accepted(refs: Mapping[UUID, str], now: datetime) -> set[UUID]:
    """The carrier took these calls, under these ids of its own; answers those of which that was news.

    No campaign is locked: nothing is decided over a call, so an end or a pause may as well come in between.
    """
    moves = [Move(pk, Status.IN_PROGRESS, "", {"carrier_ref": ref, "heard_at": now}) for pk, ref in refs.items()]
    try:
        with transaction.atomic():
            return attempt_states.move(moves, at=now)
    except IntegrityError:
        # Rare enough not to be looked for before each batch.
        with transaction.atomic():
            _take_back(refs, now)
            return attempt_states.move(moves, at=now)


def end(ends: Sequence[Ended], now: datetime) -> int:
    """Ends attempts and decides what becomes of their calls; answers how many attempts ended."""
    if not ends:
        return 0
    by_attempt = {each.attempt_id: each for each in ends}
    with transaction.atomic(savepoint=False):
        _hold_campaigns(by_attempt)
        return _end(by_attempt, _lock_unfinished(by_attempt), now)


def _end(by_attempt: Mapping[UUID, Ended], attempts: Sequence[CallAttempt], now: datetime) -> int:
    """The same, for attempts that are locked; within the caller's transaction."""
    _take_back(_new_refs({each.pk: (each.carrier_ref, by_attempt[each.pk].event) for each in attempts}), now)
    moves = [_attempt_move(attempt, by_attempt[attempt.pk], now) for attempt in attempts]
    attempts = _moved(attempts, moves, attempt_states.move(moves, at=now))
    if not attempts:
        return 0
    _tell_of_attempts(attempts)
    call_moves = [_call_move(attempt, by_attempt[attempt.pk], now) for attempt in attempts]
    calls = [attempt.call for attempt in attempts]
    _tell_of_calls(_moved(calls, call_moves, call_states.move(call_moves, at=now)))
    transaction.on_commit(lambda: _free_channels(attempts))
    # After the commit: of two batches with a campaign's last calls, the later one sees that none is left.
    campaigns = {attempt.campaign_id for attempt in attempts}
    transaction.on_commit(lambda: schedule.close_finished(Campaign.objects.filter(pk__in=campaigns), now))
    for attempt in attempts:
        log.info(
            "call_attempt_ended",
            campaign=attempt.campaign_id.hex,
            call=attempt.call_id,
            attempt=attempt.pk.hex,
            outcome=by_attempt[attempt.pk].outcome,
            reason=by_attempt[attempt.pk].reason,
        )
    return len(attempts)


def give_up(attempt_id: UUID, error: Exception, now: datetime) -> None:
    """The last resort, for an attempt that this program stumbles over: it and its call end here, and the rest goes on.

    Its phone may have rung, so nobody is dialled for it again. Raises what the database raises when it refuses even
    that.
    """
    for attempt in CallAttempt.objects.filter(pk=attempt_id, status__in=CallAttempt.UNFINISHED):
        outcome = Outcome.CANCELED if attempt.status == Status.CLAIMED else Outcome.FAILED
        log.error("call_given_up", attempt=attempt_id.hex, error=f"{type(error).__name__}: {error}")
        end([Ended(attempt_id, outcome, reason=f"a fault of this server: {type(error).__name__}", final=True)], now)


def _moved(rows: Sequence[Row], moves: Sequence[Move], moved: Collection[Any]) -> list[Row]:
    """Return the rows that moved, as they now are. moves: one for each row, in the same order."""
    changed = []
    for row, move in zip(rows, moves, strict=True):
        if move.pk in moved:
            move.apply_to(row)
            changed.append(row)
    return changed


def _tell_of_attempts(attempts: Sequence[CallAttempt]) -> None:
    counting = [attempt for attempt in attempts if attempt.status != Outcome.CANCELED]
    if counting:
        signals.attempts_ended.send(CallAttempt, attempts=counting)


def _tell_of_calls(calls: Sequence[Call]) -> None:
    """Tell of those that have ended; what waits for a retry or was given back has not."""
    ended = [call for call in calls if call.status in Call.ENDED]
    if ended:
        campaigns = {call.campaign_id: call.campaign for call in ended}
        campaign_signals.calls_ended.send(Campaign, campaigns=list(campaigns.values()), calls=ended)


def _hold_campaigns(attempt_ids: Collection[UUID]) -> None:
    """A campaign that is being ended is seen either before or after it."""
    campaign_lock.hold_shared(CallAttempt.objects.filter(pk__in=list(attempt_ids)).values("campaign_id"))


def _lock(attempt_ids: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """All of a batch in the order of their ids, before some are moved as up and some as ended; answers, of those that
    have not ended, the status and the carrier's id.
    """
    attempts = CallAttempt.objects.filter(pk__in=list(attempt_ids), status__in=CallAttempt.UNFINISHED)
    locked = attempts.select_for_update().order_by("pk").values_list("pk", "status", "carrier_ref")
    return {pk: (status, carrier_ref) for pk, status, carrier_ref in locked}


def _lock_unfinished(attempt_ids: Collection[UUID]) -> list[CallAttempt]:
    attempts = CallAttempt.objects.filter(pk__in=list(attempt_ids), status__in=CallAttempt.UNFINISHED)
    locked = attempts.select_related("call").select_for_update(of=("self",)).order_by("pk")
    found = list(locked.only(*_ENDED_BY))
    # A batch is of few campaigns: each is loaded once.
    campaigns = Campaign.objects.in_bulk({attempt.campaign_id for attempt in found})
    for attempt in found:
        attempt.campaign = attempt.call.campaign = campaigns[attempt.campaign_id]
    return found


# What ending an attempt reads of it and of its call. A batch is hundreds of rows, and most of what a row costs is in
# moments and texts that nobody asks for here.
_ENDED_BY = (
    *("campaign", "trunk", "number", "carrier_ref", "claimed_at", "placing_at", "answered_at"),
    *("call__campaign", "call__attempts_made", "call__last_outcome", "call__was_placed", "call__http_status"),
    "call__number",  # for the receivers of the signals, so that they need no query of their own
)


def _note_up(up: Mapping[UUID, Event], known: Mapping[UUID, tuple[str, str]], now: datetime) -> None:
    """The carrier has these calls; the first news of an answer counts. known: what `_lock` said of them."""
    _take_back(_new_refs({pk: (known[pk][1], event) for pk, event in up.items() if pk in known}), now)
    overtaken = [pk for pk in up if pk in known and known[pk][0] != Status.IN_PROGRESS]
    attempt_states.move([Move(pk, Status.IN_PROGRESS, "", {"heard_at": now}) for pk in overtaken], at=now)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_callattempt AS attempt
            SET heard_at = %s, answered_at = coalesce(attempt.answered_at, news.answered_at),
                carrier_ref = coalesce(nullif(attempt.carrier_ref, ''), news.carrier_ref)
            FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[]) AS news(id, answered_at, carrier_ref)
            WHERE attempt.id = news.id AND attempt.status = 'in-progress'
            """,
            [
                now,
                list(up),
                [event.answered_at for event in up.values()],
                [event.carrier_ref for event in up.values()],
            ],
        )


def _new_refs(known: Mapping[UUID, tuple[str, Event]]) -> dict[UUID, str]:
    """The carrier's ids that events tell of, where those are not known already."""
    return {pk: event.carrier_ref for pk, (ref, event) in known.items() if event.carrier_ref not in {"", ref}}


def _take_back(refs: Mapping[UUID, str], now: datetime) -> None:
    """A carrier's id that another attempt holds was a wrong guess of a look-up: that one is in doubt again.

    An event or an answer names its attempt for certain, a look-up by number does not.
    """
    if not refs:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT holder.id FROM unnest(%s::uuid[], %s::text[]) AS certain(id, carrier_ref)
            JOIN dialer_callattempt AS own ON own.id = certain.id
            JOIN dialer_callattempt AS holder ON holder.trunk_id = own.trunk_id
                AND holder.carrier_ref = certain.carrier_ref AND holder.carrier_ref <> '' AND holder.id <> own.id
            WHERE holder.status IN ('placing', 'in-progress', 'unknown')
            """,
            [list(refs), list(refs.values())],
        )
        wrong = [row[0] for row in cursor.fetchall()]
    if wrong:
        log.warning("call_was_anothers", attempts=[pk.hex for pk in wrong])
        attempt_states.move(
            [Move(pk, Status.UNKNOWN, "its call turned out to be another attempt's") for pk in wrong], at=now
        )
        CallAttempt.objects.filter(pk__in=wrong).update(carrier_ref="")


def _attempt_move(attempt: CallAttempt, ended: Ended, now: datetime) -> Move:
    event = ended.event
    ended_at = _ended_at(attempt, ended, now)
    earliest = attempt.placing_at or attempt.claimed_at
    answered_at = min(max(event.answered_at, earliest), ended_at) if event.answered_at else attempt.answered_at
    return Move(
        attempt.pk,
        ended.outcome,
        ended.reason,
        {
            "ended_at": ended_at,
            "heard_at": now,
            "answered_at": answered_at,
            "duration_seconds": event.duration_seconds,
            "digits": event.digits,
            "recording_url": event.recording_url,
            "carrier_ref": event.carrier_ref or attempt.carrier_ref,
            "http_status": ended.http_status,
            "reason": ended.reason[:255],
        },
    )


def _ended_at(attempt: CallAttempt, ended: Ended, now: datetime) -> datetime:
    """A carrier's moments are whole seconds of another clock: no call ends before it was dialled, or in the future."""
    return min(max(ended.event.ended_at or now, attempt.placing_at or attempt.claimed_at), now)


def _call_move(attempt: CallAttempt, ended: Ended, now: datetime) -> Move:
    call = attempt.call
    counts = ended.outcome != Outcome.CANCELED
    columns: dict[str, Any] = {
        "attempts_made": call.attempts_made + counts,
        "last_outcome": ended.outcome if counts else call.last_outcome,
        "was_placed": call.was_placed or (counts and not ended.refused),
        "http_status": ended.http_status or call.http_status,
        "next_attempt_at": None,
        "ended_at": None,
        "end_reason": "",
    }
    status, reason = _fate(attempt, ended, columns, now)
    if status in Call.ENDED:
        columns |= {"ended_at": now, "end_reason": reason[:255]}
    return Move(call.pk, status, reason, columns)


def _fate(attempt: CallAttempt, ended: Ended, columns: dict[str, Any], now: datetime) -> tuple[str, str]:
    """The call's next status and why; sets next_attempt_at where it waits for another attempt."""
    campaign = attempt.campaign
    if ended.outcome == Outcome.COMPLETED:
        return Call.Status.COMPLETED, "answered"
    if ended.refused or ended.final:
        return Call.Status.FAILED, ended.reason
    over = _why_over(campaign, now)
    if ended.outcome == Outcome.CANCELED:
        return _give_back(attempt.call, campaign, columns, over, now)
    if over:
        return Call.Status.FAILED, f"{ended.outcome}; {over}"
    policy = RetryPolicy.of(campaign, timedelta(seconds=settings.RETRY_MINUTE_SECONDS))
    moment = retry_policy.next_attempt_at(ended.outcome, attempt.number, policy, _ended_at(attempt, ended, now))
    if moment is None:
        return Call.Status.FAILED, f"{ended.outcome}; no retry is left"
    columns["next_attempt_at"] = moment
    return Call.Status.RETRYING, ended.outcome


def _give_back(call: Call, campaign: Campaign, columns: dict[str, Any], over: str, now: datetime) -> tuple[str, str]:
    """The call is where it was before the attempt; or at its end, where the campaign makes no more attempts."""
    if call.attempts_made:
        if over:
            return Call.Status.FAILED, f"{call.last_outcome}; {over}"
        columns["next_attempt_at"] = now
        return Call.Status.RETRYING, "the attempt was given back"
    if over:
        # Time that ran out cancels a call; a person who ended or paused the campaign fails it.
        ran_out = campaign.status == Campaign.Status.IN_PROGRESS
        return (Call.Status.CANCELED if ran_out else Call.Status.FAILED), over
    return Call.Status.CREATED, "the attempt was given back"


def _why_over(campaign: Campaign, now: datetime) -> str:
    """Why the campaign makes no more attempts, or "" while it may."""
    if not campaign.is_open:
        return f"the campaign is {campaign.status}"
    return "the campaign's end came first" if campaign.expires_at <= now else ""


def _free_channels(attempts: Sequence[CallAttempt]) -> None:
    """The channels of the ended attempts are free; their accounts' next calls go out now, not at the next tick."""
    failpoints.reached("inbox-after-commit")
    channels.release((attempt.pk, _lease_keys(attempt)) for attempt in attempts)
    messages.enqueue_dispatch({attempt.campaign.account_id for attempt in attempts})


def _lease_keys(attempt: CallAttempt) -> tuple[str, ...]:
    campaign = attempt.campaign
    return channels.keys_of(
        account_id=campaign.account_id, trunk_id=attempt.trunk_id, caller_id_id=campaign.caller_id_id
    )
