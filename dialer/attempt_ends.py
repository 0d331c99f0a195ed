"""What an attempt's end means for the attempt and for its call: pure decisions, without a query.

`outcomes` stores them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from campaigns import call_states
from campaigns.flow_wishes import stronger
from campaigns.models import Call, Campaign, Outcome
from core.state_machine import Move
from dialer import call_times, retry_policy
from dialer.call_times import CallEnd
from dialer.carriers import refusals
from dialer.carriers.base import Event
from dialer.models import CallAttempt
from dialer.retry_policy import RetryPolicy

NO_EVENT = Event(status="")

# A call whose attempt is given back so often within these minutes slows down: whatever gives it back will do so again.
QUICK_GIVE_BACKS = 3
GIVE_BACKS_COUNT_FOR = timedelta(minutes=10)
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=60)


@dataclass(frozen=True)
class Ended:
    """An attempt's end, from an event, a refusal, or a decision of ours.

    Attributes:
        outcome: canceled gives the attempt back: no phone rang and it counts for nothing.
        refused: the carrier will not place this call, so no phone rang and there is no retry.
        final: the call fails with it, whatever retries are left.
        retry_at: of a refusal that gives the attempt back: when the carrier may be asked for the call again.
        taken_back: out of the carrier's queue. Only so is an attempt given back that is known to be up.
        held_until, rule: of an attempt that is given back: until when that rule for its number holds the call. With
            final: the rule that ends the call.
        wish: of the person called, by the carrier: see Event. With final or refused, it decides the rule that ends the
            call.
        is_resting: what gave the attempt back (a trunk) rests by itself, so its calls need not slow down.
    """

    attempt_id: UUID
    outcome: str
    event: Event = NO_EVENT
    http_status: int | None = None
    reason: str = ""
    refused: bool = False
    final: bool = False
    retry_at: datetime | None = None
    taken_back: bool = False
    held_until: datetime | None = None
    rule: str = ""
    wish: str = ""
    is_resting: bool = False

    def with_digits(self, digits: str) -> "Ended":
        """Return it with the keys that other news of the attempt brought, unless its own has some."""
        return replace(self, event=replace(self.event, digits=digits)) if digits and not self.event.digits else self

    def with_answerer(self, answered_by: str) -> "Ended":
        """Return it with who answered, as other news of the attempt said, unless its own does."""
        if not answered_by or self.event.answered_by:
            return self
        return replace(self, event=replace(self.event, answered_by=answered_by))

    def without_ref(self) -> "Ended":
        """Return it without the carrier's id, which names another call too."""
        return replace(self, event=replace(self.event, carrier_ref=""))


class Fate(NamedTuple):
    """The call's next status, why, and when its retry is due, where it waits for one.

    rule: for its number, that holds it until then or ends it.
    """

    status: str
    reason: str
    next_attempt_at: datetime | None = None
    rule: str = ""


def attempt_move(attempt: CallAttempt, ended: Ended, now: datetime) -> Move:
    """Return the move that ends the attempt."""
    event = ended.event
    call_end = _end_of(attempt, ended, now)
    answered_at = call_times.answer_of(event, call_end, attempt.placing_at or attempt.claimed_at)
    return Move(
        attempt.pk,
        ended.outcome,
        ended.reason,
        {
            "ended_at": call_end.at,
            "heard_at": now,
            "answered_at": answered_at or attempt.answered_at,
            "duration_seconds": event.duration_seconds,
            "digits": event.digits or attempt.digits,
            "answered_by": event.answered_by or attempt.answered_by,
            "wish": stronger(attempt.wish, ended.wish),
            "recording_url": event.recording_url,
            "carrier_ref": event.carrier_ref or attempt.carrier_ref,
            "ref_is_guess": event.is_guess if event.carrier_ref else attempt.ref_is_guess,
            "http_status": ended.http_status,
            "reason": ended.reason[:255],
            "was_refused": ended.retry_at is not None,
        },
    )


def wait_after(given_back: int) -> timedelta:
    """Return how long a call waits whose attempt has been given back for so many times lately: doubled each time."""
    if given_back <= QUICK_GIVE_BACKS:
        return timedelta()
    return min(FIRST_WAIT * (1 << min(given_back - QUICK_GIVE_BACKS - 1, 10)), LONGEST_WAIT)


def call_move(attempt: CallAttempt, ended: Ended, now: datetime, wait: timedelta) -> Move:
    """Return the move of the attempt's call: to its end, to a retry, or back to where it was.

    Args:
        attempt: with its call and campaign loaded.
        wait: for how long a call that is given back is not dialed.
    """
    call = attempt.call
    counts = ended.outcome != Outcome.CANCELED
    fate = _fate(attempt, ended, now, wait)
    if fate.status in Call.ENDED:
        end = call_states.end_columns(at=now, reason=fate.reason, rule=fate.rule)
    else:
        end = call_states.open_columns(next_attempt_at=fate.next_attempt_at, rule=fate.rule)
    columns = {
        "attempts_made": call.attempts_made + counts,
        "last_outcome": ended.outcome if counts else call.last_outcome,
        "was_placed": call.was_placed or (counts and not ended.refused),
        "http_status": ended.http_status or call.http_status,
        **end,
    }
    return Move(call.pk, fate.status, fate.reason, columns)


def _end_of(attempt: CallAttempt, ended: Ended, now: datetime) -> CallEnd:
    return call_times.end_of(ended.event, attempt.placing_at or attempt.claimed_at, now)


def _fate(attempt: CallAttempt, ended: Ended, now: datetime, wait: timedelta) -> Fate:
    campaign = attempt.campaign
    if ended.outcome == Outcome.COMPLETED:
        return Fate(Call.Status.COMPLETED, "answered", rule=attempt.call.rule)
    if attempt.call.rule:
        return _taken_out(attempt.call, ended.outcome)
    if ended.refused or ended.final:
        return Fate(Call.Status.FAILED, ended.reason, rule=ended.rule or refusals.RULES.get(ended.wish, ""))
    over = _why_over(campaign, now)
    if ended.outcome == Outcome.CANCELED:
        waits = ended.retry_at is not None or bool(wait)
        if ended.held_until and not over:
            status = Call.Status.RETRYING if attempt.call.attempts_made else Call.Status.CREATED
            return Fate(status, ended.reason, ended.held_until, ended.rule)
        return _given_back(attempt.call, campaign, over, ended.retry_at or now + wait, waits=waits)
    if over:
        return Fate(Call.Status.FAILED, f"{ended.outcome}; {over}")
    policy = RetryPolicy.of(campaign, timedelta(seconds=settings.RETRY_MINUTE_SECONDS))
    retry_at = retry_policy.next_attempt_at(ended.outcome, attempt.number, policy, _end_of(attempt, ended, now).latest)
    if retry_at is None:
        return Fate(Call.Status.FAILED, f"{ended.outcome}; no retry is left")
    return Fate(Call.Status.RETRYING, ended.outcome, retry_at)


def _taken_out(call: Call, outcome: str) -> Fate:
    """Return the end of a call that was taken out while this attempt was under way, and that reached nobody."""
    last = call.last_outcome if outcome == Outcome.CANCELED else outcome
    return Fate(Call.Status.CANCELED, f"{last}; {call.end_reason}" if last else call.end_reason, rule=call.rule)


def _given_back(call: Call, campaign: Campaign, over: str, retry_at: datetime, *, waits: bool) -> Fate:
    """Return the call to where it was before the attempt, or end it where the campaign makes no more attempts.

    Args:
        waits: it must not be dialled before retry_at.
    """
    if not over and (waits or call.attempts_made):
        return Fate(Call.Status.RETRYING, "the attempt was given back", retry_at)
    if call.attempts_made:
        return Fate(Call.Status.FAILED, f"{call.last_outcome}; {over}")
    if over:
        # Time that ran out cancels a call; a person who ended or paused the campaign fails it.
        ran_out = campaign.status == Campaign.Status.IN_PROGRESS
        return Fate(Call.Status.CANCELED if ran_out else Call.Status.FAILED, over)
    return Fate(Call.Status.CREATED, "the attempt was given back")


def _why_over(campaign: Campaign, now: datetime) -> str:
    """Return why the campaign makes no more attempts, or "" while it may."""
    if not campaign.is_open:
        return f"the campaign is {campaign.status}"
    return "the campaign's end came first" if campaign.expires_at <= now else ""
