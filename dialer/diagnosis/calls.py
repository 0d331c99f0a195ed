"""What has become of a call."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Case, When, Window
from django.db.models.functions import RowNumber

from campaigns.models import Call, Campaign
from contacts import zones
from dialer import gate, number_gate
from dialer.diagnosis.campaigns import Diagnosis, loaded
from dialer.diagnosis.limits import busy_numbers
from dialer.diagnosis.reasons import seconds
from dialer.models import AttemptHistory, CallAttempt, Transfer
from dialer.number_gate import Ring

Status = CallAttempt.Status

# The most attempts of a call that are shown. One that is given back again and again may have hundreds.
MOST_ATTEMPTS = 20

_WAITING = (Call.Status.CREATED, Call.Status.RETRYING)
_NUMBER_BUSY = "another call to this number is under way, and this one waits for it to end"


@dataclass(frozen=True)
class Step:
    """One row of a history."""

    status: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class CallDiagnosis:
    """What has become of a call, as one sentence, and its latest attempts with the moves of each, oldest first.

    next_attempt_at: when its retry is dialled, or its first try that a rule holds; None where it waits for none, or
        where that takes a person.
    """

    call: Call
    summary: str
    attempts: tuple[tuple[CallAttempt, tuple[Step, ...]], ...]
    next_attempt_at: datetime | None = None


def of_calls(calls: Sequence[Call], diagnosis: Diagnosis, now: datetime) -> list[CallDiagnosis]:
    """Diagnose calls in a handful of queries, however many they are.

    Args:
        calls: of one campaign.
        diagnosis: that campaign's.
    """
    if not calls:
        return []
    campaign = loaded(calls[0].campaign)
    attempts = _attempts_of(calls)
    steps = _steps_of([attempt for own in attempts.values() for attempt in own])
    waiting = [call for call in calls if call.status in _WAITING]
    busy = busy_numbers(campaign.account_id, [call.number for call in waiting])
    shut = number_gate.check([_ring(call, campaign) for call in waiting], now)
    made = []
    refused = _refused_legs_of([attempt for own in attempts.values() for attempt in own])
    for call in calls:
        own = attempts.get(call.pk, [])
        holds = _NUMBER_BUSY if call.number in busy else diagnosis.summary
        if verdict := shut.get(call.pk):
            holds = verdict.because
        parts = [*_so_far(own), *_not_connected(own, refused), *_what_next(call, own, campaign, holds, now)]
        histories = tuple((attempt, tuple(steps[attempt.pk])) for attempt in own)
        made.append(CallDiagnosis(call, "; ".join(parts), histories, _next_attempt_at(call, campaign, now)))
    return made


def _ring(call: Call, campaign: Campaign) -> Ring[int]:
    return Ring(call.pk, campaign, call.number, (call.variables or {}).get(zones.COLUMN, ""))


def _next_attempt_at(call: Call, campaign: Campaign, now: datetime) -> datetime | None:
    if call.status not in _WAITING or not call.next_attempt_at:
        return None
    opening = gate.next_open(campaign, max(call.next_attempt_at, now))
    return opening if isinstance(opening, datetime) else None


def _attempts_of(calls: Iterable[Call]) -> dict[int, list[CallAttempt]]:
    """Return of each call the attempts that count, and the latest of those that were given back, oldest first."""
    given_back = Case(When(status=Status.CANCELED, then=1), default=0)
    place = Window(RowNumber(), partition_by="call", order_by=[given_back.asc(), "-claimed_at", "-id"])
    rows = CallAttempt.objects.filter(call__in=[call.pk for call in calls]).annotate(place=place)
    by_call: dict[int, list[CallAttempt]] = {}
    for attempt in rows.filter(place__lte=MOST_ATTEMPTS).order_by("claimed_at", "id"):
        by_call.setdefault(attempt.call_id, []).append(attempt)
    return by_call


def _steps_of(attempts: Iterable[CallAttempt]) -> dict[UUID, list[Step]]:
    """Return each attempt's moves. The claim makes its row; every move after it is in the history."""
    steps = {attempt.pk: [Step(Status.CLAIMED, attempt.claimed_at, "")] for attempt in attempts}
    for row in AttemptHistory.objects.filter(subject__in=list(steps)).order_by("id"):
        steps[row.subject_id].append(Step(row.to_status, row.at, row.reason))
    return steps


def _so_far(attempts: Sequence[CallAttempt]) -> Iterator[str]:
    """Yield `rung 3 times: busy, busy, no-answer`. An attempt that was given back counts for nothing."""
    ended = [attempt for attempt in attempts if attempt.ended_at and attempt.status != Status.CANCELED]
    if ended:
        times = {1: "once", 2: "twice"}.get(len(ended), f"{len(ended)} times")
        # A failed attempt may have been refused before any phone rang.
        verb = "tried" if any(attempt.status == Status.FAILED for attempt in ended) else "rung"
        yield f"{verb} {times}: {', '.join(attempt.status for attempt in ended)}"


def _refused_legs_of(attempts: Iterable[CallAttempt]) -> dict[UUID, list[Transfer]]:
    """Return of each attempt the numbers that its flow did not ring, as a rule kept them from it."""
    refused: dict[UUID, list[Transfer]] = {}
    for leg in (
        Transfer.objects.filter(attempt__in=[attempt.pk for attempt in attempts]).exclude(rule="").order_by("pk")
    ):
        refused.setdefault(leg.attempt_id, []).append(leg)
    return refused


def _not_connected(attempts: Sequence[CallAttempt], refused: Mapping[UUID, Sequence[Transfer]]) -> Iterator[str]:
    for attempt in attempts:
        for leg in refused.get(attempt.pk, ()):
            yield f"not connected to {leg.number}: {leg.reason}"


def _what_next(
    call: Call, attempts: Sequence[CallAttempt], campaign: Campaign, holds: str, now: datetime
) -> Iterator[str]:
    """holds: what keeps a due call from being dialed."""
    match call.status:
        case Call.Status.CREATED:
            yield f"not dialled yet: {holds}"
        case Call.Status.RETRYING if call.rule:
            yield f"retry {call.attempts_made} held: {holds}"
        case Call.Status.RETRYING if call.next_attempt_at:
            # A call that was refused waits for its first attempt.
            retry = f"retry {call.attempts_made}" if call.attempts_made else "refused by the carrier, the next try"
            at = gate.clock(call.next_attempt_at, campaign)
            if call.next_attempt_at <= now:
                yield f"{retry} due since {at}: {holds}"
            else:
                yield _retry(retry, call.next_attempt_at, campaign)
        case Call.Status.IN_PROGRESS if attempts:
            yield _under_way(attempts[-1], now)
        case Call.Status.FAILED:
            yield f"failed: {call.end_reason}"
        case Call.Status.CANCELED:
            yield f"{'canceled' if call.attempts_made else 'never dialled'}: {call.end_reason}"


def _retry(retry: str, due_at: datetime, campaign: Campaign) -> str:
    """Say when a retry is dialled that is not due yet, and what the gate says of that moment already."""
    opening, at = gate.next_open(campaign, due_at), gate.clock(due_at, campaign)
    if opening == due_at:
        return f"{retry} at {at}"
    if isinstance(opening, gate.Never):
        return f"no {retry}, which is due {at}: {opening.because}"
    verdict = gate.check(campaign, due_at)
    assert not isinstance(verdict, gate.Open)
    when = f"at {gate.clock(opening, campaign)}, due {at}" if isinstance(opening, datetime) else f"at {at}"
    return f"{retry} {when}, but {verdict.because}"


_UNDER_WAY = {
    Status.CLAIMED: "waits for a dialer",
    Status.PLACING: "is being offered to the carrier",
    Status.IN_PROGRESS: "is up",
    Status.UNKNOWN: "may have rung: the carrier's reply was lost, and it is being asked",
}


def _under_way(attempt: CallAttempt, now: datetime) -> str:
    since = attempt.answered_at or attempt.placing_at or attempt.claimed_at
    return f"attempt {attempt.number} {_UNDER_WAY[Status(attempt.status)]}, {seconds(now - since)}"
