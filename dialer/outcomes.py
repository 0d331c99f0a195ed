"""What became of attempts: news goes in, and attempts, calls, retries, leases and campaigns follow.

Set-based: a batch is a handful of statements however many attempts it holds. Monotonic: an attempt that has ended takes
no more news, so late, repeated and out-of-order events change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction

from campaigns import call_states, schedule
from campaigns.models import Call, Campaign, Outcome
from campaigns.state_machine import Move
from dialer import attempt_states, channels, doorbells, retry_policy
from dialer.carriers.base import Event
from dialer.models import CallAttempt
from dialer.retry_policy import RetryPolicy

log = structlog.get_logger(__name__)

S = CallAttempt.Status


NO_EVENT = Event(status="")


@dataclass(frozen=True)
class Ended:
    """An attempt's end, from an event, a refusal, or a decision of ours.

    outcome canceled gives the attempt back: nobody was rung and it counts for nothing. refused: the carrier will not
    place this call, so nobody was rung and there is no retry.
    """

    attempt_id: UUID
    outcome: str
    event: Event = NO_EVENT
    http_status: int | None = None
    reason: str = ""
    refused: bool = False


def settle(news: Sequence[tuple[UUID, Event]], now: datetime) -> int:
    """Applies events, in their order, to their attempts; answers how many attempts ended."""
    answered = [(attempt_id, event) for attempt_id, event in news if event.status == S.IN_PROGRESS]
    ended: dict[UUID, Ended] = {}
    for attempt_id, event in news:
        if event.status != S.IN_PROGRESS:
            # The first end counts: what a carrier says after it is news of nothing.
            ended.setdefault(attempt_id, Ended(attempt_id, event.status, event, reason=event.reason))
    _note_answered([(attempt_id, event) for attempt_id, event in answered if attempt_id not in ended], now)
    return end(list(ended.values()), now)


def end(ends: Sequence[Ended], now: datetime) -> int:
    """Ends attempts and decides what becomes of their calls; answers how many attempts ended."""
    if not ends:
        return 0
    by_attempt = {each.attempt_id: each for each in ends}
    with transaction.atomic(savepoint=False):
        attempts = _lock_unfinished(list(by_attempt))
        moved = attempt_states.move(
            [_attempt_move(attempt, by_attempt[attempt.pk], now) for attempt in attempts], at=now
        )
        attempts = [attempt for attempt in attempts if attempt.pk in moved]
        moves = [_call_move(attempt, by_attempt[attempt.pk], now) for attempt in attempts]
        call_states.move(moves, at=now)
        campaigns = {attempt.campaign_id for attempt in attempts}
        schedule.close_finished(Campaign.objects.filter(pk__in=campaigns), now)
        transaction.on_commit(lambda: _free_channels(attempts))
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


def _note_answered(answered: Sequence[tuple[UUID, Event]], now: datetime) -> None:
    """An answered call is in progress, if the carrier's answer to the dial has not already said so."""
    if not answered:
        return
    first = dict(reversed(answered))
    attempt_states.move([Move(pk, S.IN_PROGRESS, "answered", {"heard_at": now}) for pk in first], at=now)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_callattempt AS attempt
            SET answered_at = coalesce(attempt.answered_at, news.answered_at), heard_at = %s,
                carrier_ref = CASE WHEN attempt.carrier_ref = '' THEN news.carrier_ref ELSE attempt.carrier_ref END
            FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[]) AS news(id, answered_at, carrier_ref)
            WHERE attempt.id = news.id AND attempt.status = 'in-progress'
            """,
            [
                now,
                list(first),
                [event.answered_at or now for event in first.values()],
                [event.carrier_ref for event in first.values()],
            ],
        )


def _lock_unfinished(attempt_ids: Sequence[UUID]) -> list[CallAttempt]:
    """The attempts that have not ended, locked in the order of their ids so that no two batches deadlock.

    Their campaigns are locked first: a campaign that is being ended is seen either before or after it, and of two
    batches with its last calls one sees that none is left.
    """
    campaigns = Campaign.objects.filter(attempts__in=attempt_ids).order_by("pk").distinct().values("pk")
    list(
        Campaign.objects.filter(pk__in=list(campaigns.values_list("pk", flat=True)))
        .order_by("pk")
        .select_for_update(no_key=True)
        .values("pk")
    )
    attempts = CallAttempt.objects.filter(pk__in=attempt_ids, status__in=CallAttempt.UNFINISHED)
    return list(attempts.select_related("call", "campaign").select_for_update(of=("self",)).order_by("pk"))


def _attempt_move(attempt: CallAttempt, ended: Ended, now: datetime) -> Move:
    event = ended.event
    # A carrier's moments are whole seconds of another clock: no call ends before it was dialled, or in the future.
    earliest = attempt.placing_at or attempt.claimed_at
    ended_at = min(max(event.ended_at or now, earliest), now)
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
    if status in {Call.Status.COMPLETED, Call.Status.FAILED, Call.Status.CANCELED}:
        columns |= {"ended_at": now, "end_reason": reason[:255]}
    return Move(call.pk, status, reason, columns)


def _fate(attempt: CallAttempt, ended: Ended, columns: dict[str, Any], now: datetime) -> tuple[str, str]:
    """The call's next status and why; sets next_attempt_at where it waits for another attempt."""
    campaign = attempt.campaign
    if ended.outcome == Outcome.COMPLETED:
        return Call.Status.COMPLETED, "answered"
    over = _why_over(campaign, now)
    if ended.outcome == Outcome.CANCELED:
        return _give_back(attempt.call, columns, over, now)
    if ended.refused:
        return Call.Status.FAILED, ended.reason
    if over:
        return Call.Status.FAILED, f"{ended.outcome}; {over}"
    policy = RetryPolicy.of(campaign, timedelta(seconds=settings.RETRY_MINUTE_SECONDS))
    moment = retry_policy.next_attempt_at(ended.outcome, attempt.number, policy, now)
    if moment is None:
        return Call.Status.FAILED, f"{ended.outcome}; no retry is left"
    columns["next_attempt_at"] = moment
    return Call.Status.RETRYING, ended.outcome


def _give_back(call: Call, columns: dict[str, Any], over: str, now: datetime) -> tuple[str, str]:
    if call.attempts_made:
        if over:
            return Call.Status.FAILED, f"{call.last_outcome}; {over}"
        columns["next_attempt_at"] = now
        return Call.Status.RETRYING, "the attempt was given back"
    if over:
        forced = call.campaign.status in {Campaign.Status.COMPLETED, Campaign.Status.CANCELED, Campaign.Status.PAUSED}
        return (Call.Status.FAILED if forced else Call.Status.CANCELED), over
    return Call.Status.CREATED, "the attempt was given back"


def _why_over(campaign: Campaign, now: datetime) -> str:
    """Why the campaign makes no more attempts, or "" while it may."""
    if not campaign.is_open:
        return f"the campaign is {campaign.status}"
    return "the campaign's end came first" if campaign.expires_at <= now else ""


def _free_channels(attempts: Sequence[CallAttempt]) -> None:
    """The channels of the ended attempts are free; their accounts' next calls go out now, not at the next tick."""
    channels.release((attempt.pk, channels.keys_of(*_lease(attempt))) for attempt in attempts)
    doorbells.ring_dispatch({attempt.campaign.account_id for attempt in attempts})


def _lease(attempt: CallAttempt) -> tuple[int, UUID, int, int]:
    campaign = attempt.campaign
    return campaign.account_id, campaign.pk, attempt.trunk_id, campaign.caller_id_id
