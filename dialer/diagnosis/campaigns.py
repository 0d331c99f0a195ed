"""Why a campaign dials, or does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Count, F, Min, Q
from redis.exceptions import RedisError

from accounts.calling_rules import has_any, rules_of
from campaigns import flows, progress
from campaigns.models import Call, Campaign, CampaignHistory
from core import liveness
from dialer import gate, holds, rehearsal
from dialer.attempt_ends import GIVE_BACKS_COUNT_FOR
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.diagnosis.limits import held, limits, never_dialed
from dialer.diagnosis.reasons import REDIS_IS_AWAY, Reason, calls_text, counted, seconds
from dialer.models import CallAttempt, Health

Status = CallAttempt.Status

# The processes that a campaign needs to dial.
NEEDED = (liveness.BEAT, "control", "dial")
# People of whom the rules are asked.
ASKED = 200
# The slowest pace is one start a minute: a campaign that has placed a call within it is dialling.
LATELY = timedelta(minutes=1)


@dataclass(frozen=True)
class Counts:
    """A campaign's calls: in all, to dial now, up (with an attempt under way), waiting for a later retry, over."""

    total: int
    due: int
    up: int
    waiting_for_retry: int
    ended: int


@dataclass(frozen=True)
class Diagnosis:
    """What holds a campaign back.

    Attributes:
        summary: one sentence.
        next_attempt_at: when the next call can be dialled; None where that takes a person, or where no call can be
            dialled any more.
    """

    summary: str
    reasons: tuple[Reason, ...]
    calls: Counts
    next_attempt_at: datetime | None = None
    last_placed_at: datetime | None = None


def of_campaign(campaign: Campaign, now: datetime) -> Diagnosis:
    """Diagnose any campaign; its row is loaded again."""
    campaign = loaded(campaign)
    come, waits = progress.of([campaign.pk])[campaign.pk], _waits(campaign, now)
    counts = Counts(
        total=come.total,
        due=come.count(Call.Status.CREATED) - waits.held + waits.due,
        up=come.count(Call.Status.IN_PROGRESS),
        waiting_for_retry=come.count(Call.Status.RETRYING) - waits.due,
        ended=come.ended,
    )
    verdict = gate.check(campaign, now)
    opening = _next_opening(campaign, counts, waits, now)
    next_at = opening if isinstance(opening, datetime) else None
    diagnosis = Diagnosis("", (), counts, next_at, _last_placed_at(campaign))
    never = list(never_dialed(campaign)) if come.untried or come.listed else []
    kept = [*never, *_connects_to_people(campaign)] if campaign.is_open else never
    if not campaign.is_open:
        return _told(diagnosis, [_why_ended(campaign, verdict), *never])
    nothing_fits = list(_nothing_fits(diagnosis, campaign, now))
    if nothing_fits:
        diagnosis = replace(diagnosis, next_attempt_at=None)
    stops = [*_no_more(verdict, opening), *nothing_fits, *_not_at_work(), *_waiting_for_a_dialer(campaign, now)]
    if isinstance(verdict, gate.Open):
        return _of_open(campaign, diagnosis, stops, verdict, [*held(campaign, now), *kept], now)
    reasons = [_shut(verdict), *_loading(campaign, counts), *_still_up(counts), *stops, *held(campaign, now), *kept]
    reasons += _unknown(campaign)
    return _told(diagnosis, reasons)


# A campaign that has not ended ---------------------------------------------------------------------------------------


def _of_open(
    campaign: Campaign,
    diagnosis: Diagnosis,
    stops: Sequence[Reason],
    verdict: gate.Open,
    kept: Sequence[Reason],
    now: datetime,
) -> Diagnosis:
    """Diagnose a campaign whose gate is open: what stops everything comes first, then what slows it down.

    Args:
        kept: why numbers are held, or never dialed.
    """
    counts, placed = diagnosis.calls, diagnosis.last_placed_at
    if stops or not counts.due:
        idle = [] if counts.due else [_nothing_due(diagnosis, campaign)]
        return _told(diagnosis, [*stops, *_given_back(campaign, now), *idle, *kept, *_unknown(campaign)])
    slows = [
        *kept,
        *_on_trial(campaign, verdict, now),
        *limits(campaign, now),
        *_given_back(campaign, now),
        *_unknown(campaign),
    ]
    elsewhere = _over_another_trunk(campaign)
    if counts.up or (placed and now - placed < LATELY):
        ago = f", last call placed {seconds(now - placed)} ago" if placed else ""
        return _told(diagnosis, [*slows, *elsewhere], f"dialling: {calls_text(counts.up)} up, {counts.due} due{ago}")
    ready = Reason("ready", f"{calls_text(counts.due)} due and nothing in the way: the next tick dials")
    said = slows if len(slows) > len(kept) else [ready, *kept]
    return _told(diagnosis, [*said, *elsewhere])


def _told(diagnosis: Diagnosis, reasons: Sequence[Reason], *first: str) -> Diagnosis:
    summary = "; ".join([*first, *(reason.message for reason in reasons)])
    return replace(diagnosis, summary=summary, reasons=tuple(reasons))


def _loading(campaign: Campaign, counts: Counts) -> Iterator[Reason]:
    if campaign.is_loading:
        made = f"{calls_text(counts.total)} made so far, of {campaign.calls_expected:,} entries in its lists"
        yield Reason("calls-being-made", made)


def _shut(verdict: gate.NotBefore | gate.Never) -> Reason:
    if isinstance(verdict, gate.Never):
        return Reason(verdict.code, verdict.because)
    return Reason(verdict.code, verdict.because, verdict.at, verdict.detail)


def _no_more(verdict: gate.Verdict, opening: object) -> Iterator[Reason]:
    """Yield that nothing can be dialled any more, where the gate does not say so of this moment already."""
    if isinstance(opening, gate.Never) and not isinstance(verdict, gate.Never):
        yield Reason(opening.code, opening.because)


def _connects_to_people(campaign: Campaign) -> Iterator[Reason]:
    """Yield that rules hold for numbers that the flow connects to. No query, where there are none."""
    if not has_any(campaign.account, campaign) or not campaign.flow:
        return
    if warning := flows.connects_to_people(campaign.account, campaign.flow.document, campaign):
        yield Reason("connects-to-people", warning)


def _nothing_fits(diagnosis: Diagnosis, campaign: Campaign, now: datetime) -> Iterator[Reason]:
    """Yield that the rules let nobody be called before the campaign's end.

    Asked of a few of them, before the first call, where there are rules.
    """
    if diagnosis.last_placed_at or not diagnosis.next_attempt_at or not rules_of(campaign.account, campaign):
        return
    found = rehearsal.forecast(rehearsal.of_campaign(campaign, now, most=ASKED))
    if found.numbers and not found.fits:
        yield Reason("nothing-fits", f"no call can be made before the campaign's end: {found.summary}")


def _still_up(counts: Counts) -> Iterator[Reason]:
    if counts.up:
        yield Reason("calls-up", f"{calls_text(counts.up)} still up")


def _nothing_due(diagnosis: Diagnosis, campaign: Campaign) -> Reason:
    counts, next_at, left = diagnosis.calls, diagnosis.next_attempt_at, []
    if counts.up:
        left.append(f"{calls_text(counts.up)} up")
    if counts.waiting_for_retry:
        when = f", the next {gate.clock(next_at, campaign)}" if next_at else ""
        left.append(f"{calls_text(counts.waiting_for_retry)} waiting for a retry{when}")
    if waiting := counts.total - counts.ended - counts.up - counts.waiting_for_retry:
        left.append(f"{calls_text(waiting)} held")
    return Reason("nothing-due", f"nothing is due: {', '.join(left) or 'no call is left'}", next_at)


def _not_at_work() -> Iterator[Reason]:
    """Yield the processes that make no progress. With Redis away that is not known, and nothing is dialled."""
    try:
        for process in NEEDED:
            if problem := liveness.problem(process):
                worker = process if process == liveness.BEAT else f"the {process} worker"
                yield Reason(f"no-{process}", f"{worker} is not at work: {problem}")
    except RedisError:
        yield REDIS_IS_AWAY


def _waiting_for_a_dialer(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    """Yield the claims that are too old: no dialer takes them."""
    claimed = CallAttempt.objects.filter(campaign=campaign, status=Status.CLAIMED)
    waiting = claimed.aggregate(count=Count("id"), oldest=Min("claimed_at"))
    if waiting["oldest"] and now - waiting["oldest"] > CLAIM_LIFETIME:
        claims, since = calls_text(waiting["count"]), seconds(now - waiting["oldest"])
        yield Reason("waiting-for-a-dialer", f"{claims} claimed, and no dialer takes them: {since}")


def _on_trial(campaign: Campaign, verdict: gate.Open, now: datetime) -> Iterator[Reason]:
    if verdict.on_trial:
        trunk, number = campaign.caller_id.trunk, campaign.caller_id.number
        own = gate.caller_id_health(campaign)
        is_failing = own is not None and own.is_failing
        refuses = f"the trunk has taken no calls from {number} lately"
        parts: dict[str, tuple[Health | None, str]] = {
            "trunk-on-trial": (gate.trunk_health(campaign), f"the trunk of {number} has failed lately"),
            "caller-id-on-trial": (own, f"calls from {number} have failed at once" if is_failing else refuses),
        }
        for code, (health, has_failed) in parts.items():
            if health and health.failures:
                next_at = health.next_try_at
                detail = f"{trunk.name}: {health.last_error}"
                until = next_at if next_at and next_at > now else None
                yield Reason(code, f"{has_failed}: one call at a time tries it", until, detail)


def _over_another_trunk(campaign: Campaign) -> Iterator[Reason]:
    """Yield that calls leave over a later trunk of the caller ID's order, as the ones before it take none."""
    caller_id = campaign.caller_id
    first = caller_id.routes.select_related("trunk").first()
    if first and first.trunk_id != caller_id.trunk_id:
        leave = f"calls from {caller_id.number} leave over another trunk than their first, which takes none at present"
        yield Reason("over-another-trunk", leave, detail=f"{caller_id.trunk.name} in place of {first.trunk.name}")


def _given_back(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    """Yield that calls wait because their attempts are given back again and again, with the commonest cause."""
    waiting = CallAttempt.objects.filter(
        campaign=campaign,
        status=Status.CANCELED,
        was_refused=False,
        number=F("call__attempts_made") + 1,
        claimed_at__gt=now - GIVE_BACKS_COUNT_FOR,
        call__status=Call.Status.RETRYING,
        call__next_attempt_at__gt=now,
    )
    of_all = waiting.aggregate(calls=Count("call", distinct=True), next_at=Min("call__next_attempt_at"))
    if of_all["calls"]:
        cause = waiting.values_list("reason").annotate(count=Count("id")).order_by("-count", "reason")[0][0]
        waits = f"{calls_text(of_all['calls'])} given back again and again, each wait longer: {cause}"
        yield Reason("given-back", waits, of_all["next_at"])


def _unknown(campaign: Campaign) -> Iterator[Reason]:
    lost = CallAttempt.objects.filter(campaign=campaign, status=Status.UNKNOWN).count()
    if lost:
        replies = f"{counted(lost, 'reply', 'replies')} of the carrier lost"
        yield Reason("unknown-attempts", f"{replies}: it is asked what became of them, and nobody is dialled twice")


# What the rows say ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Waits:
    """Retries that are due, first tries that are held, and when the next is that is not due."""

    due: int
    held: int
    next_at: datetime | None


def loaded(campaign: Campaign) -> Campaign:
    """Load the campaign with what the gate reads of it."""
    rows = Campaign.objects.select_related("account", "caller_id__trunk__health", "caller_id__health")
    found = rows.annotate(held=holds.annotation()).get(pk=campaign.pk)
    holds.keep(found.account, found.held)
    return found


def _waits(campaign: Campaign, now: datetime) -> _Waits:
    retrying = campaign.calls.filter(status=Call.Status.RETRYING)
    is_due = Q(next_attempt_at__lte=now)
    waits = retrying.aggregate(due=Count("id", filter=is_due), next_at=Min("next_attempt_at", filter=~is_due))
    first_tries = campaign.calls.filter(status=Call.Status.CREATED, next_attempt_at__gt=now)
    held = first_tries.aggregate(count=Count("id"), next_at=Min("next_attempt_at"))
    moments = [moment for moment in (waits["next_at"], held["next_at"]) if moment]
    return _Waits(waits["due"], held["count"], min(moments, default=None))


def _next_opening(
    campaign: Campaign, counts: Counts, waits: _Waits, now: datetime
) -> datetime | gate.NotBefore | gate.Never | None:
    """Return when the gate will be open for the next call, or why it will not; None where no call waits."""
    due_at = now if counts.due else waits.next_at
    return gate.next_open(campaign, due_at) if due_at else None


def _last_placed_at(campaign: Campaign) -> datetime | None:
    """Return when the last call was placed. The order of placing is that of claiming, to within milliseconds."""
    placed = campaign.attempts.filter(placing_at__isnull=False).exclude(status=Status.CANCELED)
    return placed.order_by("-claimed_at", "-id").values_list("placing_at", flat=True).first()


def _why_ended(campaign: Campaign, verdict: gate.Verdict) -> Reason:
    """Combine the gate's sentence with what the history says of the end."""
    assert isinstance(verdict, gate.Never)
    last = CampaignHistory.objects.filter(subject=campaign).order_by("-id").first()
    parts = [verdict.because]
    if campaign.ended_at:
        parts.append(f"since {gate.clock(campaign.ended_at, campaign)}")
    if last and last.reason:
        parts.append(last.reason)
    if campaign.failure_http_status:
        parts.append(f"HTTP status {campaign.failure_http_status}")
    return Reason(verdict.code, ", ".join(parts))
