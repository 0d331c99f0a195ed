"""What must hold after every run, whatever broke in it: docs/operator/guarantees.md, one check each.

The judges are the sandbox's ring log, which knows when each number was rung, and the database.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from uuid import UUID

from accounts.calling_rules import parse_cap
from accounts.models import Account
from campaigns.models import Call, Campaign, Outcome
from core.redis_client import redis_client
from dialer import channels
from dialer.models import CallAttempt, CarrierEvent
from tools.chaos.leg_judge import Recorded, is_leg, judge_legs, key_of, recorded_of
from tools.chaos.limits import ON_ITS_WAY, Cap, most_at_once, most_within
from tools.chaos.result import Result
from tools.chaos.run import RETRIES, STILL_AFTER_PAUSE, Posted, Run
from tools.chaos.watch import Watch
from webhooks.models import WebhookDelivery

# Seconds. Recovery clears what a run leaves behind within two sweeps; webhooks wait up to half a minute between tries.
CLEARED_WITHIN = 60.0
MINUTE = 60.0
OUTCOMES = frozenset({"completed", "busy", "no-answer", "failed"})


def judge(fault: str, run: Run, watch: Watch, began: float, problem: str = "") -> Result:
    """Wait until nothing is left over, and check everything.

    Args:
        watch: what looked at the database meanwhile.
        began: Unix time of the run's start.
        problem: why the run did not come to its end, if it did not.
    """
    numbers = [caller_id.number for caller_id in run.caps[0].caller_ids]
    rings = [ring for number in numbers for ring in run.system.rings(caller_id=number)["rings"]]
    legs = [leg for leg in run.system.legs() if leg["caller_id"] in numbers]
    phones = [*rings, *legs]
    recorded = recorded_of(run)
    attempts = {attempt.pk: attempt for attempt in CallAttempt.objects.filter(campaign__account=run.account)}
    if run.rename_rings:
        rings = _renamed(rings, attempts)
    lost = list(_lost(run))
    violations = [
        *([problem] if problem else []),
        *run.notes,
        *lost,
        *_twice(rings),
        *_too_often(rings, list(run.campaigns.values())),
        *twice_at_once(phones),
        *above_caps_of_numbers(phones, attempts, Account.objects.get(pk=run.account.pk), recorded),
        *though_listed(phones, run.listed),
        *judge_legs(run, rings, legs, attempts, recorded),
        *unrecorded(rings, attempts, elsewhere=run.elsewhere),
        *misreported(rings, attempts),
        *_calls_that_differ(rings, attempts),
        *over_caps(rings, run.caps),
        *watch.violations(),
        *over_paces(rings, run),
        *_out_of_bounds(rings, run),
        *_not_asked(rings, run),
        *_left_over(run),
        *_untold(run),
    ]
    return Result(
        fault=fault,
        seed=run.seed,
        rings=len(rings),
        double_rings=len(rings) - len({ring["attempt_id"] for ring in rings}),
        lost=len(lost),
        cap_excess=max(0, *(_most_up(rings, cap) - cap.channels for cap in run.caps)),
        stall=_stall(rings, run.campaigns.get("main")),
        recovery=run.recovered_at - run.struck_at if run.recovered_at and run.struck_at else None,
        seconds=time.time() - began,
        violations=tuple(violations),
    )


def _renamed(rings: list[dict[str, Any]], attempts: Mapping[UUID, CallAttempt]) -> list[dict[str, Any]]:
    """Return the rings with the ids under which the database has them: it was restored, and lost those of its own."""
    recorded = {attempt.carrier_ref: attempt.pk.hex for attempt in attempts.values() if attempt.carrier_ref}
    return [ring | {"attempt_id": recorded.get(ring["call_sid"], ring["attempt_id"])} for ring in rings]


def _lost(run: Run) -> Iterator[str]:
    """Calls without an end or without a reason for it; campaigns that are missing, doubled or open."""
    for posted in run.campaigns.values():
        campaigns = Campaign.objects.filter(account=run.account, name=posted.name)
        if len(campaigns) != 1:
            yield f"{posted.name}: {len(campaigns)} campaigns where one was posted"
        for campaign in campaigns:
            if campaign.is_open:
                yield f"{posted.name}: never ended, {campaign.status}"
        calls = {call.number: call for call in Call.objects.filter(campaign=posted.id)}
        for number in posted.numbers:
            call = calls.get(number)
            if call is None or call.status not in Call.ENDED or not call.end_reason:
                yield f"{posted.name}: {number} is {call.status if call else 'missing'}"


def _twice(rings: list[dict[str, Any]]) -> Iterator[str]:
    for attempt_id, count in Counter(ring["attempt_id"] for ring in rings).items():
        if count > 1:
            yield f"attempt {attempt_id} rang {count} times"


def _too_often(rings: list[dict[str, Any]], campaigns: Sequence[Posted]) -> Iterator[str]:
    """Numbers with more rings than attempts, over all campaigns that they are in."""
    calls = Counter(number for campaign in campaigns for number in campaign.numbers)
    for number, count in Counter(ring["number"] for ring in rings).items():
        if count > (1 + RETRIES) * max(1, calls[number]):
            yield f"{number} was rung {count} times"


def twice_at_once(rings: list[dict[str, Any]]) -> Iterator[str]:
    """Numbers whose phone rang, or was in a call, while another call of the account was made to it."""
    for number, of_one in _by_number(rings).items():
        for earlier, later in pairwise(of_one):
            if earlier["end"] is None or later["start"] < earlier["end"]:
                yield f"{number} was rung twice at once"


def above_caps_of_numbers(
    rings: list[dict[str, Any]],
    attempts: Mapping[UUID, CallAttempt],
    account: Account,
    legs: Recorded = MappingProxyType({}),
) -> Iterator[str]:
    """Numbers that were rung more often than the account's rules allow, or too soon after another call.

    A conversation counts where its attempt, or the leg, is known to have been one.
    """
    gap = account.number_gap_seconds
    for number, of_one in _by_number(rings).items():
        talks = [ring for ring in of_one if _was_answered(ring, attempts, legs)]
        for cap in map(parse_cap, account.number_caps):
            within = cap.within.total_seconds() - ON_ITS_WAY
            if cap.counts == "attempts" and most_within((ring["start"] for ring in of_one), within) > cap.most:
                yield f"{number} was rung above its cap of {cap}"
            for ring in of_one if cap.counts == "conversations" else ():
                before = [talk for talk in talks if ring["start"] - within < talk["end"] <= ring["start"]]
                if len(before) >= cap.most:
                    yield f"{number} was rung above its cap of {cap}"
        if any(later["start"] - (earlier["end"] or 0) < gap - ON_ITS_WAY for earlier, later in pairwise(of_one)):
            yield f"{number} was rung less than {gap} s after another call"


def _was_answered(ring: dict[str, Any], attempts: Mapping[UUID, CallAttempt], legs: Recorded) -> bool:
    if is_leg(ring):
        leg = legs.get(key_of(ring))
        recorded = leg.outcome if leg else ""
    else:
        attempt = attempts.get(UUID(ring["attempt_id"]))
        recorded = attempt.status if attempt else ""
    return ring["end"] is not None and ring["outcome"] == recorded == Outcome.COMPLETED


def though_listed(rings: list[dict[str, Any]], listed: Mapping[str, float]) -> Iterator[str]:
    """Numbers that were rung though they were on the do-not-call list before the intent."""
    for ring in rings:
        if ring["start"] > listed.get(ring["number"], float("inf")) + STILL_AFTER_PAUSE:
            yield f"{ring['number']} was rung though on the do-not-call list"


def _by_number(rings: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rings of each number, in their order."""
    of_number: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for ring in sorted(rings, key=lambda ring: float(ring["start"])):
        of_number[ring["number"]].append(ring)
    return of_number


def unrecorded(
    rings: list[dict[str, Any]], attempts: Mapping[UUID, CallAttempt], *, elsewhere: int = 0
) -> Iterator[str]:
    """Rings of attempts that are unknown or recorded as never rung, and attempts whose recorded ring never happened.

    Args:
        elsewhere: rings of which `reconcile` has said that no call waits for them any more, so it records none.
    """
    rung = {UUID(ring["attempt_id"]) for ring in rings}
    unknown = rung - attempts.keys()
    if len(unknown) > elsewhere:
        yield from (f"attempt {attempt_id.hex} rang, and is unknown" for attempt_id in unknown)
    for attempt_id in rung - unknown:
        if attempts[attempt_id].status == CallAttempt.Status.CANCELED:
            yield f"attempt {attempt_id.hex} rang, and is canceled"
    for attempt in attempts.values():
        if attempt.status in {"completed", "busy", "no-answer"} and attempt.pk not in rung:
            yield f"attempt {attempt.pk.hex} is {attempt.status} and never rang"


def misreported(rings: list[dict[str, Any]], attempts: Mapping[UUID, CallAttempt]) -> Iterator[str]:
    """Attempts whose outcome or keys are not those of their ring.

    One that failed with a reason was spent, because nobody could tell what became of it, or given up.
    """
    for ring in rings:
        attempt = attempts.get(UUID(ring["attempt_id"]))
        if attempt is None or attempt.status not in OUTCOMES:
            continue
        name = f"attempt {attempt.pk.hex}"
        if ring["outcome"] is None:
            yield f"{name} is {attempt.status}, and its call is still up"
        elif attempt.status != ring["outcome"] and not (attempt.status == Outcome.FAILED and attempt.reason):
            yield f"{name} is {attempt.status}, and its ring was {ring['outcome']}"
        if attempt.digits not in {"", ring["digits"]}:
            yield f"{name} has the keys {attempt.digits}, and {ring['digits'] or 'none'} were pressed"


def _calls_that_differ(rings: list[dict[str, Any]], attempts: Mapping[UUID, CallAttempt]) -> Iterator[str]:
    """Calls that are completed though nobody answered, or the reverse. The outcome is that of the last attempt."""
    answered = {UUID(ring["attempt_id"]) for ring in rings if ring["outcome"] == Outcome.COMPLETED}
    of_call: dict[int, list[CallAttempt]] = defaultdict(list)
    for attempt in attempts.values():
        if attempt.status in OUTCOMES:
            of_call[attempt.call_id].append(attempt)
    for call in Call.objects.filter(pk__in=of_call):
        last = max(of_call[call.pk], key=lambda attempt: attempt.number)
        if (call.status == Call.Status.COMPLETED) != (last.status == Outcome.COMPLETED):
            yield f"{call.number} is {call.status}, and its last attempt {last.status}"
        if call.last_outcome != last.status:
            yield f"{call.number} has the outcome {call.last_outcome}, and its last attempt {last.status}"
        if call.status == Call.Status.COMPLETED and not any(attempt.pk in answered for attempt in of_call[call.pk]):
            yield f"{call.number} is completed, and nobody answered"


def _most_up(rings: list[dict[str, Any]], cap: Cap) -> int:
    numbers = {caller_id.number for caller_id in cap.caller_ids}
    return most_at_once([ring for ring in rings if ring["caller_id"] in numbers])


def over_caps(rings: list[dict[str, Any]], caps: Sequence[Cap]) -> Iterator[str]:
    """Caps that were exceeded at any moment, and those that were never met where the run was made to meet them."""
    for cap in caps:
        most = _most_up(rings, cap)
        if most > cap.channels:
            yield f"{most} calls were up at once over {cap.name}, which has {cap.channels} channels"
        if cap.must_bind and most < cap.channels:
            yield f"nothing was tried: {most} calls were up at most over {cap.name}, which has {cap.channels} channels"


def over_paces(rings: list[dict[str, Any]], run: Run) -> Iterator[str]:
    """Paces that were exceeded in any minute, and those that were never met."""
    for pace in run.paces:
        numbers = {number for name in pace.campaigns for number in run.campaigns[name].numbers}
        most = most_within((ring["start"] for ring in rings if ring["number"] in numbers), MINUTE - ON_ITS_WAY)
        if most > pace.per_minute:
            yield f"{most} calls of {pace.name} started within a minute, whose pace is {pace.per_minute}"
        if most < pace.per_minute - 1:
            yield f"nothing was tried: {most} calls of {pace.name} started within a minute, pace {pace.per_minute}"


def _not_asked(rings: list[dict[str, Any]], run: Run) -> Iterator[str]:
    for ring in rings:
        if UUID(ring["attempt_id"]) in run.must_not_ring:
            yield f"attempt {ring['attempt_id']} rang, though the gate had shut before its intent"


def _out_of_bounds(rings: list[dict[str, Any]], run: Run) -> Iterator[str]:
    for posted in run.campaigns.values():
        own = set(posted.numbers)
        for since, until in posted.silences:
            for ring in rings:
                if ring["number"] in own and since < ring["start"] < until:
                    yield f"{posted.name}: {ring['number']} was rung {ring['start'] - since:.1f} s too late"


def _left_over(run: Run) -> Iterator[str]:
    """Channels that are not released, events that are not handled, webhooks that are not delivered."""
    key = channels.Scope("account", run.account.pk, 0).key
    leftovers: dict[str, Callable[[], int]] = {
        "channels are still leased": lambda: int(redis_client().zcard(key)),
        "events are not handled": lambda: CarrierEvent.objects.filter(handled_at=None).count(),
        "webhooks are still pending": lambda: _pending(run),
    }
    for name, count in leftovers.items():
        if not run.wait_for(lambda count=count: count() == 0, CLEARED_WITHIN):  # type: ignore[misc]
            yield f"{count()} {name}"


def _pending(run: Run) -> int:
    return WebhookDelivery.objects.filter(account=run.account).exclude(next_try_at=None).count()


def _untold(run: Run) -> Iterator[str]:
    """Events without a webhook, and webhooks that were neither received nor given up."""
    of_run = WebhookDelivery.objects.filter(account=run.account)
    for delivery in of_run:
        if delivery.delivered_at and delivery.webhook_id.hex not in run.receiver.taken:
            yield f"webhook {delivery.webhook_id.hex} is delivered, and never came"
        if not delivery.delivered_at and not delivery.given_up_at and delivery.next_try_at is None:
            yield f"webhook {delivery.webhook_id.hex} is neither delivered nor given up"
    ids = [posted.id for posted in run.campaigns.values()]
    attempts = CallAttempt.objects.filter(campaign__in=ids)
    wanted = {
        "call-status": attempts.filter(status__in=["completed", "busy", "no-answer", "failed"]).count(),
        "call-schedule": Call.objects.filter(campaign__in=ids).count(),
        # One for its end, and one for its start if it started.
        "campaign-status": len(ids) + Campaign.objects.filter(pk__in=ids).exclude(started_at=None).count(),
    }
    written = Counter(of_run.values_list("kind", flat=True))
    for kind, count in wanted.items():
        if written[kind] != count:
            yield f"{written[kind]} webhooks of kind {kind} where {count} were due"


def _stall(rings: list[dict[str, Any]], main: Posted | None) -> float:
    """Return the longest time, in seconds, between two rings of the campaign that the fault struck."""
    own = set(main.numbers) if main else set()
    starts = sorted(ring["start"] for ring in rings if ring["number"] in own)
    return max((later - earlier for earlier, later in pairwise(starts)), default=0.0)
