"""Apply what became of attempts to them, and to their calls, leases and campaigns.

Set-based: a batch is a handful of statements however many attempts it holds. Monotonic: an attempt that has ended takes
no more news, so late, repeated and out-of-order events change nothing. Locks are taken in one order everywhere:
campaigns (shared, see `campaign_lock`), then attempts by their ids.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Exists

from campaigns import call_states, campaign_lock, schedule
from campaigns import signals as campaign_signals
from campaigns.models import Call, Campaign, Outcome
from core import failpoints
from core.composed_once import ComposedOnce
from core.state_machine import Move
from dialer import (
    attempt_ends,
    attempt_states,
    calls_up,
    carrier_refs,
    channels,
    instant_failures,
    messages,
    signals,
    transfers,
    wishes,
)
from dialer.attempt_ends import Ended
from dialer.carriers.base import Event
from dialer.models import CallAttempt, CallerIdHealth

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

Row = TypeVar("Row", CallAttempt, Call)


class _Locked(NamedTuple):
    """An attempt that is locked. are_calls_failing: whether a run of calls that fail at once is under way anywhere."""

    status: str
    carrier_ref: str
    are_calls_failing: bool


def settle(news: Sequence[tuple[UUID, Event]], now: datetime) -> int:
    """Settle events, in their order. Returns how many attempts ended."""
    ended: dict[UUID, Ended] = {}
    for attempt_id, event in news:
        if event.status != Status.IN_PROGRESS:
            # The first end counts. What a carrier says after it changes nothing.
            end = Ended(attempt_id, event.status, event, reason=event.reason, final=event.names_number, wish=event.wish)
            ended.setdefault(attempt_id, end)
    keys = {attempt_id: event.digits for attempt_id, event in news if event.digits}
    heard = {attempt_id: event.answered_by for attempt_id, event in news if event.answered_by}
    ended = {pk: end.with_digits(keys.get(pk, "")).with_answerer(heard.get(pk, "")) for pk, end in ended.items()}
    up = _together([(attempt_id, event) for attempt_id, event in news if attempt_id not in ended])
    rang = {attempt_id for attempt_id, event in news if event.rang_at or event.answered_at}
    with transaction.atomic(savepoint=False):
        _hold_campaigns([attempt_id for attempt_id, _ in news])
        if up:
            _mark_up(up, keys, _lock({attempt_id for attempt_id, _ in news}), now)
        unfinished = _lock_unfinished(ended)
        silent = [attempt for attempt in unfinished if attempt.pk not in rang]
        ended |= {attempt.pk: _taken_back(ended[attempt.pk], attempt) for attempt in silent}
        return _end(ended, [attempt for attempt in unfinished if not _is_overtaken(ended[attempt.pk], attempt)], now)


def _together(news: Sequence[tuple[UUID, Event]]) -> dict[UUID, Event]:
    """Return the news of each call that is up as one event: of an answer and of a ring the first ones count."""
    together: dict[UUID, Event] = {}
    for attempt_id, event in news:
        if (first := together.get(attempt_id)) is None:
            together[attempt_id] = event
            continue
        together[attempt_id] = replace(
            event if event.answered_at and not first.answered_at else first,
            rang_at=first.rang_at or event.rang_at,
            answered_by=first.answered_by or event.answered_by,
            carrier_ref=first.carrier_ref or event.carrier_ref,
        )
    return together


def _taken_back(ended: Ended, attempt: CallAttempt) -> Ended:
    """Give the attempt back if its call was canceled in the carrier's queue, as we had asked, and nobody was rung."""
    never_rang = attempt.rang_at is None and attempt.answered_at is None
    if ended.event.was_withdrawn and attempt.withdrawn_at and never_rang:
        reason = "taken back from the carrier's queue"
        return replace(ended, outcome=Outcome.CANCELED, reason=reason, taken_back=True)
    return ended


def store_accepted(refs: Mapping[UUID, str], now: datetime) -> set[UUID]:
    """Store that the carrier took these calls. Returns the ids of the attempts that moved.

    No campaign is locked: nothing is decided about a call, so a pause or an end may come in between.

    Args:
        refs: the carrier's id of the call, by attempt id.
    """
    moves = [Move(pk, Status.IN_PROGRESS, "", {"carrier_ref": ref, "heard_at": now}) for pk, ref in refs.items()]
    try:
        with transaction.atomic():
            return attempt_states.move(moves, at=now)
    except IntegrityError:
        # Another attempt has one of these ids. That is too rare to look for before each batch.
        with transaction.atomic():
            carrier_refs.make_way(refs, now)
            return attempt_states.move(moves, at=now)


def end(ends: Sequence[Ended], now: datetime) -> int:
    """End attempts, and with them or not their calls, as `attempt_ends` decides. Returns how many attempts ended."""
    if not ends:
        return 0
    by_attempt = {ended.attempt_id: ended for ended in ends}
    with transaction.atomic(savepoint=False):
        _hold_campaigns(by_attempt)
        return _end(by_attempt, _lock_unfinished(by_attempt), now)


def _end(by_attempt: Mapping[UUID, Ended], attempts: Sequence[CallAttempt], now: datetime) -> int:
    """Do so for attempts that are locked, within the caller's transaction."""
    known = {attempt.pk: (attempt.carrier_ref, by_attempt[attempt.pk].event) for attempt in attempts}
    repeated = carrier_refs.make_way(_new_refs(known), now)
    by_attempt = {**by_attempt, **{pk: by_attempt[pk].without_ref() for pk in repeated}}
    if repeated:
        _reload_refs([attempt for attempt in attempts if attempt.pk in repeated])
    attempts = [attempt for attempt in attempts if not _is_known_to_be_up(attempt, by_attempt[attempt.pk])]
    moves = [attempt_ends.attempt_move(attempt, by_attempt[attempt.pk], now) for attempt in attempts]
    attempts = _moved(attempts, moves, attempt_states.move(moves, at=now))
    if not attempts:
        return 0
    _note_instant_failures(attempts, by_attempt, now)
    transfers.end_with(attempts, now)
    _tell_of_attempts(attempts)
    wishes.store_ended(attempts)
    waits = _waits([attempt for attempt in attempts if not by_attempt[attempt.pk].is_resting], now)
    call_moves = [
        attempt_ends.call_move(attempt, by_attempt[attempt.pk], now, waits.get(attempt.call_id, timedelta()))
        for attempt in attempts
    ]
    calls = [attempt.call for attempt in attempts]
    _tell_of_calls(_moved(calls, call_moves, call_states.move(call_moves, at=now)), now)
    transaction.on_commit(lambda: _free_channels(attempts))
    # After the commit: of two batches with a campaign's last calls, the later one sees that none is left.
    campaigns = {attempt.campaign_id for attempt in attempts}
    transaction.on_commit(lambda: schedule.close_if_finished(campaigns, now))
    failpoints.reached("ends-before-commit")
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
    """End an attempt and its call as the last resort, where this program fails on the attempt.

    Its phone may have rung, so the number is not dialled again. Raises whatever the database raises.
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


def _note_instant_failures(attempts: Sequence[CallAttempt], ends: Mapping[UUID, Ended], now: datetime) -> None:
    """Count what the carrier's news says. A refusal, or a decision of ours, says nothing of calls that were taken."""
    told = [attempt for attempt in attempts if ends[attempt.pk].event.status and attempt.placing_at]
    if told:
        told.sort(key=lambda attempt: (attempt.ended_at, attempt.pk))
        found = [_instant_failures_end(attempt) for attempt in told]
        are_failing = any(attempt.are_calls_failing for attempt in told)  # type: ignore[attr-defined]
        if are_failing or any(end.is_instant for end in found):
            instant_failures.note(found, now)


def _instant_failures_end(attempt: CallAttempt) -> instant_failures.End:
    assert attempt.placing_at is not None
    return instant_failures.End(
        attempt.campaign.caller_id_id,
        attempt.trunk_id,
        attempt.call.number,
        attempt.placing_at,
        instant_failures.is_instant(attempt),
    )


def _waits(attempts: Sequence[CallAttempt], now: datetime) -> dict[int, timedelta]:
    """Return by call how long it waits, of those whose attempt has just been given back."""
    given_back = [attempt.call_id for attempt in attempts if attempt.status == Outcome.CANCELED]
    if not given_back:
        return {}
    lately = CallAttempt.objects.filter(
        call__in=given_back, status=Outcome.CANCELED, ended_at__gt=now - attempt_ends.GIVE_BACKS_COUNT_FOR
    )
    counts = lately.values_list("call_id").annotate(Count("id"))
    return {call_id: attempt_ends.wait_after(count) for call_id, count in counts}


def _tell_of_attempts(attempts: Sequence[CallAttempt]) -> None:
    counting = [attempt for attempt in attempts if attempt.status != Outcome.CANCELED]
    if counting:
        signals.attempts_ended.send(CallAttempt, attempts=counting)


def _tell_of_calls(calls: Sequence[Call], now: datetime) -> None:
    """Tell of those that have ended; what waits for a retry or was given back has not."""
    ended = [call for call in calls if call.status in Call.ENDED]
    if ended:
        campaigns = {call.campaign_id: call.campaign for call in ended}
        call_ids = [call.pk for call in ended]
        campaign_signals.calls_ended.send(Campaign, campaigns=list(campaigns.values()), call_ids=call_ids, at=now)


def _hold_campaigns(attempt_ids: Collection[UUID]) -> None:
    """Lock the campaigns shared, so that one that is being ended is seen either before or after its end."""
    campaign_lock.hold_shared("SELECT campaign_id FROM dialer_callattempt WHERE id = ANY(%s)", list(attempt_ids))


def _lock(attempt_ids: Collection[UUID]) -> dict[UUID, _Locked]:
    """Lock a batch in the order of its ids, before some attempts are moved as up and some as ended.

    Returns:
        Those attempts that have not ended.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [list(attempt_ids), [status.value for status in CallAttempt.UNFINISHED]])
        return {pk: _Locked(*row) for pk, *row in cursor.fetchall()}


# Asked for each batch, with what would be a statement of its own: whether calls of any caller ID fail at once.
_LOCK = """
    SELECT id, status, carrier_ref, EXISTS (SELECT FROM dialer_calleridhealth WHERE failing_since IS NOT NULL)
    FROM dialer_callattempt WHERE id = ANY(%s) AND status = ANY(%s) ORDER BY id FOR UPDATE
"""


def _lock_unfinished(attempt_ids: Collection[UUID]) -> list[CallAttempt]:
    found: list[Any] = _UNFINISHED.of(attempt_ids)
    # A batch has few campaigns: each is loaded once.
    campaigns = _CAMPAIGNS.by_key({attempt.campaign_id for attempt in found})
    for attempt in found:
        attempt.campaign = attempt.call.campaign = campaigns[attempt.campaign_id]
    return found


# What ending an attempt reads of it and of its call. A batch is hundreds of rows, and most of a row's cost is in
# moments and texts that are not read here.
_ENDED_BY = (
    *("campaign", "trunk", "number", "carrier_ref", "ref_is_guess", "claimed_at", "placing_at", "answered_at"),
    *("status", "digits", "answered_by", "rang_at", "withdrawn_at", "wish"),
    *("call__campaign", "call__attempts_made", "call__last_outcome", "call__was_placed", "call__http_status"),
    *("call__rule", "call__end_reason"),
    "call__number",  # for the receivers of the signals, so that they need no query of their own
)

_UNFINISHED = ComposedOnce(
    lambda: (
        CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED)
        .select_related("call")
        .select_for_update(of=("self",))
        .order_by("pk")
        .only(*_ENDED_BY)
        .annotate(are_calls_failing=Exists(CallerIdHealth.objects.filter(failing_since__isnull=False)))
    )
)
_CAMPAIGNS = ComposedOnce(Campaign.objects.all)


def _mark_up(up: Mapping[UUID, Event], keys: Mapping[UUID, str], known: Mapping[UUID, _Locked], now: datetime) -> None:
    """Store that these calls are up. The first news of an answer counts; one by a clock that is off, when it came.

    Args:
        keys: pressed so far, by the last news that says so.
        known: what `_lock` returned.
    """
    repeated = carrier_refs.make_way(
        _new_refs({pk: (known[pk].carrier_ref, event) for pk, event in up.items() if pk in known}), now
    )
    overtaken = [pk for pk in up if pk in known and known[pk].status != Status.IN_PROGRESS]
    attempt_states.move([Move(pk, Status.IN_PROGRESS, "", {"heard_at": now}) for pk in overtaken], at=now)
    picked_up = [pk for pk, event in up.items() if event.answered_at]
    if picked_up and (not known or any(attempt.are_calls_failing for attempt in known.values())):
        instant_failures.answered(picked_up)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_callattempt AS attempt
            SET heard_at = %s, rang_at = coalesce(attempt.rang_at, news.rang_at),
                answered_at = coalesce(attempt.answered_at, CASE
                    WHEN news.answered_at BETWEEN attempt.placing_at AND news.received_at THEN news.answered_at
                    WHEN news.answered_at IS NOT NULL THEN greatest(attempt.placing_at, news.received_at) END),
                digits = coalesce(nullif(news.digits, ''), attempt.digits),
                answered_by = coalesce(nullif(news.answered_by, ''), attempt.answered_by),
                carrier_ref = CASE WHEN news.carrier_ref <> '' AND (attempt.carrier_ref = '' OR attempt.ref_is_guess)
                    THEN news.carrier_ref ELSE attempt.carrier_ref END,
                ref_is_guess = attempt.ref_is_guess AND news.carrier_ref = ''
            FROM unnest(
                %s::uuid[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[],
                %s::text[]
            ) AS news(id, rang_at, answered_at, received_at, carrier_ref, digits, answered_by)
            WHERE attempt.id = news.id AND attempt.status = 'in-progress'
            """,
            [
                now,
                list(up),
                [event.rang_at for event in up.values()],
                [event.answered_at for event in up.values()],
                [event.received_at or now for event in up.values()],
                ["" if pk in repeated else event.carrier_ref for pk, event in up.items()],
                [keys.get(pk, "") for pk in up],
                [event.answered_by for event in up.values()],
            ],
        )


def _new_refs(known: Mapping[UUID, tuple[str, Event]]) -> dict[UUID, str]:
    """Return the carrier's ids that events bring for certain, where they are not stored already."""
    return {
        pk: event.carrier_ref
        for pk, (ref, event) in known.items()
        if event.carrier_ref not in {"", ref} and not event.is_guess
    }


def _is_overtaken(ended: Ended, attempt: CallAttempt) -> bool:
    """Tell whether a guess names another call than what the carrier has named for certain in the meantime."""
    guess = ended.event.carrier_ref if ended.event.is_guess else ""
    return bool(guess and attempt.carrier_ref not in {"", guess} and not attempt.ref_is_guess)


def _is_known_to_be_up(attempt: CallAttempt, ended: Ended) -> bool:
    """Tell whether the attempt must not be given back: news of its call have overtaken the reply that says so."""
    return ended.outcome == Outcome.CANCELED and attempt.status == Status.IN_PROGRESS and not ended.taken_back


def _reload_refs(attempts: Sequence[CallAttempt]) -> None:
    """Read what is stored as the carrier's ids of attempts whose ids are repeated, so that their ends keep it."""
    stored = CallAttempt.objects.filter(pk__in=[attempt.pk for attempt in attempts])
    refs = dict(stored.values_list("pk", "carrier_ref"))
    for attempt in attempts:
        attempt.carrier_ref, attempt.ref_is_guess = refs[attempt.pk], False


def _free_channels(attempts: Sequence[CallAttempt]) -> None:
    """Release the channels of the ended attempts, and let their accounts dispatch now instead of at the next tick."""
    failpoints.reached("inbox-after-commit")
    channels.release((attempt.pk, _lease_keys(attempt)) for attempt in attempts)
    ended = Counter((attempt.campaign.account_id, attempt.campaign_id) for attempt in attempts)
    calls_up.add({campaign: -calls for campaign, calls in ended.items()})
    messages.tell_of_freed(Counter(attempt.campaign.account_id for attempt in attempts))


def _lease_keys(attempt: CallAttempt) -> tuple[str, ...]:
    campaign = attempt.campaign
    return channels.keys_of(
        account_id=campaign.account_id, trunk_id=attempt.trunk_id, caller_id_id=campaign.caller_id_id
    )
