"""Why a campaign dials, or does not, and what has become of a call: sentences for people, codes for programs.

Reads, and decides nothing: the rules are the gate's answer, the limits are what the leases and the pace in Redis say,
and the rest is in the rows and their histories. A handful of queries, however many calls there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, Count, Min, Q, When, Window
from django.db.models.functions import RowNumber
from redis.exceptions import RedisError

from campaigns import progress
from campaigns.models import Call, Campaign, CampaignHistory
from core import liveness
from dialer import channels, gate
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.channels import NO_CAP, Scope
from dialer.models import AttemptHistory, CallAttempt

Status = CallAttempt.Status

# What a campaign needs at work to dial.
NEEDED = (liveness.BEAT, "control", "dial")
# A limit is held by the campaigns of one account: so many of them are named, the largest first.
MOST_NAMED = 3
# The attempts of a call that are shown: the latest. One that is given back again and again may have hundreds.
MOST_ATTEMPTS = 20
# The slowest pace is one start a minute: who has placed a call within it is dialling.
LATELY = timedelta(minutes=1)


@dataclass(frozen=True)
class Reason:
    """One thing that holds a campaign back, or slows it down; until: when that will have passed, where it is known.

    detail is for the operator's eyes alone.
    """

    code: str
    message: str
    until: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Counts:
    """A campaign's calls: to dial now, up (each has an attempt under way), waiting for a retry to come, over."""

    total: int
    due: int
    up: int
    waiting_for_retry: int
    ended: int


@dataclass(frozen=True)
class Diagnosis:
    """summary: one sentence. next_attempt_at: when the next call can be dialled; None where nobody can tell."""

    summary: str
    reasons: tuple[Reason, ...]
    calls: Counts
    next_attempt_at: datetime | None = None
    last_placed_at: datetime | None = None


@dataclass(frozen=True)
class Step:
    """One row of a history."""

    status: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class CallDiagnosis:
    """What has become of a call, as one sentence, and its latest attempts with the moves of each, oldest first."""

    call: Call
    summary: str
    attempts: tuple[tuple[CallAttempt, tuple[Step, ...]], ...]


def of_campaign(campaign: Campaign, now: datetime) -> Diagnosis:
    """campaign: any; what is read of it is read anew."""
    campaign = _loaded(campaign)
    come, waits = progress.of([campaign.pk])[campaign.pk], _waits(campaign, now)
    counts = Counts(
        total=come.total,
        due=come.count(Call.Status.CREATED) + waits.due,
        up=come.count(Call.Status.IN_PROGRESS),
        waiting_for_retry=come.count(Call.Status.RETRYING) - waits.due,
        ended=come.ended,
    )
    verdict = gate.check(campaign, now)
    next_at = _next_attempt_at(campaign, counts, waits, now)
    diagnosis = Diagnosis("", (), counts, next_at, _last_placed_at(campaign))
    if not campaign.is_open:
        return _told(diagnosis, [_why_ended(campaign, verdict)])
    stops = [*_not_at_work(), *_waiting_for_a_dialer(campaign, now)]
    if isinstance(verdict, gate.Open):
        return _of_open(campaign, diagnosis, stops, verdict, now)
    return _told(diagnosis, [_shut(verdict), *_still_up(counts), *stops, *_unknown(campaign)])


def of_calls(calls: Sequence[Call], diagnosis: Diagnosis, now: datetime) -> list[CallDiagnosis]:
    """calls: of one campaign, whose diagnosis comes with them. Three queries, however many they are."""
    if not calls:
        return []
    campaign = _loaded(calls[0].campaign)
    attempts = _attempts_of(calls)
    steps = _steps_of([attempt for each in attempts.values() for attempt in each])
    made = []
    for call in calls:
        own = attempts.get(call.pk, [])
        parts = [*_so_far(own), *_what_next(call, own, campaign, diagnosis, now)]
        made.append(CallDiagnosis(call, "; ".join(parts), tuple((each, tuple(steps[each.pk])) for each in own)))
    return made


# A campaign that has not ended ---------------------------------------------------------------------------------------


def _of_open(
    campaign: Campaign, diagnosis: Diagnosis, stops: Sequence[Reason], verdict: gate.Open, now: datetime
) -> Diagnosis:
    """The gate is open. What stops everything comes first, then what slows the campaign down."""
    counts, placed = diagnosis.calls, diagnosis.last_placed_at
    if stops or not counts.due:
        idle = [] if counts.due else [_nothing_due(diagnosis, campaign)]
        return _told(diagnosis, [*stops, *idle, *_unknown(campaign)])
    slows = [*_on_trial(campaign, verdict, now), *_limits(campaign, now), *_unknown(campaign)]
    if counts.up or (placed and now - placed < LATELY):
        ago = f", last call placed {_seconds(now - placed)} ago" if placed else ""
        return _told(diagnosis, slows, f"dialling: {_calls(counts.up)} up, {counts.due} due{ago}")
    ready = Reason("ready", f"{_calls(counts.due)} due and nothing in the way: the next tick dials")
    return _told(diagnosis, slows or [ready])


def _told(diagnosis: Diagnosis, reasons: Sequence[Reason], *first: str) -> Diagnosis:
    return replace(diagnosis, summary="; ".join([*first, *(each.message for each in reasons)]), reasons=tuple(reasons))


def _shut(verdict: gate.NotBefore | gate.Never) -> Reason:
    if isinstance(verdict, gate.Never):
        return Reason(verdict.code, verdict.because)
    return Reason(verdict.code, verdict.because, verdict.at, verdict.detail)


def _still_up(counts: Counts) -> Iterator[Reason]:
    if counts.up:
        yield Reason("calls-up", f"{_calls(counts.up)} still up")


def _nothing_due(diagnosis: Diagnosis, campaign: Campaign) -> Reason:
    counts, next_at, left = diagnosis.calls, diagnosis.next_attempt_at, []
    if counts.up:
        left.append(f"{_calls(counts.up)} up")
    if next_at:
        left.append(f"{_calls(counts.waiting_for_retry)} waiting for a retry, the next {gate.clock(next_at, campaign)}")
    return Reason("nothing-due", f"nothing is due: {', '.join(left) or 'no call is left'}", next_at)


def _not_at_work() -> Iterator[Reason]:
    """Who makes no progress. With Redis away nobody can tell, and nobody is dialled: it is the gate of the channels."""
    try:
        for who in NEEDED:
            if problem := liveness.problem(who):
                worker = who if who == liveness.BEAT else f"the {who} worker"
                yield Reason(f"no-{who}", f"{worker} is not at work: {problem}")
    except RedisError:
        yield _REDIS_IS_AWAY


def _waiting_for_a_dialer(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    """A claim is dialled within milliseconds; one that waits longer says that no dialer takes it."""
    claimed = CallAttempt.objects.filter(campaign=campaign, status=Status.CLAIMED)
    counted = claimed.aggregate(count=Count("id"), oldest=Min("claimed_at"))
    if counted["oldest"] and now - counted["oldest"] > CLAIM_LIFETIME:
        waited = _seconds(now - counted["oldest"])
        yield Reason("waiting-for-a-dialer", f"{_calls(counted['count'])} claimed, and no dialer takes them: {waited}")


def _on_trial(campaign: Campaign, verdict: gate.Open, now: datetime) -> Iterator[Reason]:
    if verdict.on_trial:
        trunk = campaign.caller_id.trunk
        next_at = trunk.health.next_try_at
        message = f"the trunk {trunk.name} has failed lately: one call at a time tries it"
        until = next_at if next_at and next_at > now else None
        yield Reason("trunk-on-trial", message, until, trunk.health.last_error)


def _unknown(campaign: Campaign) -> Iterator[Reason]:
    lost = CallAttempt.objects.filter(campaign=campaign, status=Status.UNKNOWN).count()
    if lost:
        answers = f"{_counted(lost, 'answer')} of the carrier lost"
        yield Reason("unknown-attempts", f"{answers}: it is asked what became of them, and nobody is dialled twice")


_REDIS_IS_AWAY = Reason(
    "redis-away", "Redis, which counts the channels, does not answer: nobody is dialled until it does"
)


# Limits --------------------------------------------------------------------------------------------------------------


def _limits(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    try:
        yield from _full_scopes(campaign)
        yield from _pace(campaign, now)
    except RedisError:
        yield _REDIS_IS_AWAY


def _full_scopes(campaign: Campaign) -> Iterator[Reason]:
    capped = [scope for scope in channels.scopes_of(campaign) if scope.cap < NO_CAP]
    for scope, held in channels.held(capped).items():
        if held >= scope.cap:
            shares = ", ".join(
                [f"{held} of {scope.cap} channels{_where(scope, campaign)} busy", *_held_by(campaign, scope, held)]
            )
            yield Reason(f"{scope.kind}-full", shares)


def _where(scope: Scope, campaign: Campaign) -> str:
    caller_id = campaign.caller_id
    places = {"trunk": f" of the trunk {caller_id.trunk.name}", "caller-id": f" of the caller ID {caller_id.number}"}
    return places.get(scope.kind, "")


def _held_by(campaign: Campaign, full: Scope, held: int) -> Iterator[str]:
    """`41 by “Renewals”`, `12 by this one`, `7 by other accounts`: of other accounts' campaigns nothing is said."""
    sharing = {
        "account": Q(),
        "trunk": Q(trunk=campaign.caller_id.trunk_id),
        "caller-id": Q(campaign__caller_id=campaign.caller_id_id),
    }
    # What the leases are made of, and made anew: the attempts in flight.
    in_flight = CallAttempt.objects.filter(
        sharing[full.kind], campaign__account=campaign.account_id, status__in=CallAttempt.UNFINISHED
    )
    by_campaign = in_flight.values_list("campaign_id", "campaign__name").annotate(up=Count("id"))
    counts = list(by_campaign.order_by("-up", "campaign_id"))
    for pk, name, count in counts[:MOST_NAMED]:
        yield f"{count} by {'this one' if pk == campaign.pk else f'“{name}”'}"
    if rest := sum(count for _, _, count in counts[MOST_NAMED:]):
        yield f"{rest} by other campaigns"
    others = held - sum(count for _, _, count in counts)
    if full.kind == "trunk" and others > 0:
        yield f"{others} by other accounts"


def _pace(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    for bucket, wait in channels.next_starts(channels.buckets_of(campaign)).items():
        if wait > 0:
            pace = f"the {bucket.kind}'s pace is {_counted(bucket.per_minute, 'start')} a minute"
            yield Reason(f"{bucket.kind}-pace", f"{pace}: the next in {wait:.1f} s", now + timedelta(seconds=wait))


# What the rows say ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Waits:
    """Retries: how many are due, and when the next of the others is."""

    due: int
    next_at: datetime | None


def _loaded(campaign: Campaign) -> Campaign:
    """As the gate wants it."""
    return Campaign.objects.select_related("account", "caller_id__trunk__health").get(pk=campaign.pk)


def _waits(campaign: Campaign, now: datetime) -> _Waits:
    retrying = campaign.calls.filter(status=Call.Status.RETRYING)
    is_due = Q(next_attempt_at__lte=now)
    counted = retrying.aggregate(due=Count("id", filter=is_due), next_at=Min("next_attempt_at", filter=~is_due))
    return _Waits(counted["due"], counted["next_at"])


def _next_attempt_at(campaign: Campaign, counts: Counts, waits: _Waits, now: datetime) -> datetime | None:
    """When a call is due, or when the gate opens after that."""
    due_at = now if counts.due else waits.next_at
    if due_at is None:
        return None
    verdict = gate.check(campaign, due_at)
    if isinstance(verdict, gate.Open):
        return due_at
    return verdict.at if isinstance(verdict, gate.NotBefore) else None


def _last_placed_at(campaign: Campaign) -> datetime | None:
    """Attempts are placed in the order of their claims, to within milliseconds."""
    placed = campaign.attempts.filter(placing_at__isnull=False).exclude(status=Status.CANCELED)
    return placed.order_by("-claimed_at", "-id").values_list("placing_at", flat=True).first()


def _why_ended(campaign: Campaign, verdict: gate.Verdict) -> Reason:
    """The gate's sentence, and what the history says of it."""
    assert isinstance(verdict, gate.Never)
    last = CampaignHistory.objects.filter(subject=campaign).order_by("-id").first()
    told = [verdict.because]
    if campaign.ended_at:
        told.append(f"since {gate.clock(campaign.ended_at, campaign)}")
    if last and last.reason:
        told.append(last.reason)
    if campaign.failure_http_status:
        told.append(f"HTTP status {campaign.failure_http_status}")
    return Reason(verdict.code, ", ".join(told))


# One call ------------------------------------------------------------------------------------------------------------


def _attempts_of(calls: Iterable[Call]) -> dict[int, list[CallAttempt]]:
    """The attempts of each call that count, and the latest of those that were given back; oldest first."""
    given_back = Case(When(status=Status.CANCELED, then=1), default=0)
    place = Window(RowNumber(), partition_by="call", order_by=[given_back.asc(), "-claimed_at", "-id"])
    rows = CallAttempt.objects.filter(call__in=[call.pk for call in calls]).annotate(place=place)
    by_call: dict[int, list[CallAttempt]] = {}
    for attempt in rows.filter(place__lte=MOST_ATTEMPTS).order_by("claimed_at", "id"):
        by_call.setdefault(attempt.call_id, []).append(attempt)
    return by_call


def _steps_of(attempts: Iterable[CallAttempt]) -> dict[UUID, list[Step]]:
    """The claim makes the row; every move after it is in the history."""
    steps = {each.pk: [Step(Status.CLAIMED, each.claimed_at, "")] for each in attempts}
    for row in AttemptHistory.objects.filter(subject__in=list(steps)).order_by("id"):
        steps[row.subject_id].append(Step(row.to_status, row.at, row.reason))
    return steps


def _so_far(attempts: Sequence[CallAttempt]) -> Iterator[str]:
    """`rung 3 times: busy, busy, no-answer`; an attempt that was given back counts for nothing."""
    ended = [each for each in attempts if each.ended_at and each.status != Status.CANCELED]
    if ended:
        times = {1: "once", 2: "twice"}.get(len(ended), f"{len(ended)} times")
        # A failed attempt may have been refused before any phone rang.
        verb = "tried" if any(each.status == Status.FAILED for each in ended) else "rung"
        yield f"{verb} {times}: {', '.join(each.status for each in ended)}"


def _what_next(
    call: Call, attempts: Sequence[CallAttempt], campaign: Campaign, diagnosis: Diagnosis, now: datetime
) -> Iterator[str]:
    match call.status:
        case Call.Status.CREATED:
            yield f"not dialled yet: {diagnosis.summary}"
        case Call.Status.RETRYING if call.next_attempt_at:
            retry, at = f"retry {call.attempts_made}", gate.clock(call.next_attempt_at, campaign)
            if call.next_attempt_at <= now:
                yield f"{retry} due since {at}: {diagnosis.summary}"
            else:
                yield f"{retry} at {at}{_unless(campaign, call.next_attempt_at)}"
        case Call.Status.IN_PROGRESS if attempts:
            yield _under_way(attempts[-1], now)
        case Call.Status.FAILED:
            yield f"failed: {call.end_reason}"
        case Call.Status.CANCELED:
            yield f"never dialled: {call.end_reason}"


def _unless(campaign: Campaign, at: datetime) -> str:
    """What the gate says of that moment already: calling hours, a pause, an end."""
    verdict = gate.check(campaign, at)
    return "" if isinstance(verdict, gate.Open) else f", but {verdict.because}"


_UNDER_WAY = {
    Status.CLAIMED: "waits for a dialer",
    Status.PLACING: "is being offered to the carrier",
    Status.IN_PROGRESS: "is up",
    Status.UNKNOWN: "may have rung: the carrier's answer was lost, and it is being asked",
}


def _under_way(attempt: CallAttempt, now: datetime) -> str:
    since = attempt.answered_at or attempt.placing_at or attempt.claimed_at
    return f"attempt {attempt.number} {_UNDER_WAY[Status(attempt.status)]}, {_seconds(now - since)}"


# Words ---------------------------------------------------------------------------------------------------------------


def _calls(count: int) -> str:
    return _counted(count, "call")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _seconds(span: timedelta) -> str:
    return f"{max(0, round(span.total_seconds())):,} s"
