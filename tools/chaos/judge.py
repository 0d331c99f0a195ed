"""What must hold after every run, whatever broke in it: docs/operator/guarantees.md, one check each.

The judges are the sandbox's ring log, which knows when each number was rung, and the database.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from uuid import UUID

from campaigns.models import Call, Campaign
from core.redis_client import redis_client
from dialer import channels
from dialer.models import CallAttempt, CarrierEvent
from tools.chaos.result import Result
from tools.chaos.run import CHANNELS, RETRIES, Posted, Run
from webhooks.models import WebhookDelivery

# Seconds. Recovery clears what a run leaves behind within two sweeps; webhooks wait up to half a minute between tries.
CLEARED_WITHIN = 60.0


def judge(fault: str, run: Run, began: float, problem: str = "") -> Result:
    """Wait until nothing is left over, and check everything.

    Args:
        began: Unix time of the run's start.
        problem: why the run did not come to its end, if it did not.
    """
    ring_log = run.system.rings(caller_id=run.caller_id.number)
    rings = ring_log["rings"]
    attempts = {attempt.pk: attempt for attempt in CallAttempt.objects.filter(campaign__account=run.account)}
    lost = list(_lost(run))
    excess = max(0, ring_log["totals"]["most_at_once"] - CHANNELS)
    violations = [
        *([problem] if problem else []),
        *run.notes,
        *lost,
        *_twice(rings),
        *_too_often(rings),
        *_unrecorded(rings, attempts),
        *([f"{excess} calls up beyond the cap of {CHANNELS}"] if excess else []),
        *_out_of_bounds(rings, run),
        *_left_over(run),
        *_untold(run),
    ]
    return Result(
        fault=fault,
        seed=run.seed,
        rings=len(rings),
        double_rings=ring_log["totals"]["double_rings"],
        lost=len(lost),
        cap_excess=excess,
        stall=_stall(rings, run.campaigns.get("main")),
        recovery=run.recovered_at - run.struck_at if run.recovered_at and run.struck_at else None,
        seconds=time.time() - began,
        violations=tuple(violations),
    )


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


def _too_often(rings: list[dict[str, Any]]) -> Iterator[str]:
    """Numbers with more rings than attempts. That one is in two campaigns of a run happens once in a million runs."""
    for number, count in Counter(ring["number"] for ring in rings).items():
        if count > 1 + RETRIES:
            yield f"{number} was rung {count} times"


def _unrecorded(rings: list[dict[str, Any]], attempts: dict[UUID, CallAttempt]) -> Iterator[str]:
    """Rings of attempts that are unknown or recorded as never rung, and attempts whose recorded ring never happened."""
    rung = {UUID(ring["attempt_id"]) for ring in rings}
    for attempt_id in rung:
        attempt = attempts.get(attempt_id)
        if attempt is None or attempt.status == CallAttempt.Status.CANCELED:
            yield f"attempt {attempt_id.hex} rang, and is {attempt.status if attempt else 'unknown'}"
    for attempt in attempts.values():
        if attempt.status in {"completed", "busy", "no-answer"} and attempt.pk not in rung:
            yield f"attempt {attempt.pk.hex} is {attempt.status} and never rang"


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
