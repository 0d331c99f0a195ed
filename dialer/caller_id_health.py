"""Tell a carrier that refuses our side from one that refuses a number, and let the caller ID rest in the first case.

A refusal that does not name its number may be about our account at the carrier, the caller ID or the flow: then every
further number would be refused, and none of them may fail for it. The caller ID is what the run is counted for, as it
belongs to one account: an account whose caller ID is not valid holds up none of the others on the trunk.

- A refusal gives the attempt back; the call waits a little longer each time.
- REFUSALS_BEFORE_REST refusals in a row, of different numbers and without a call taken in between, let the caller ID
  rest; then one call at a time tries it.
- A call fails for its own refusals when another call was taken between two of them; or after REFUSALS_OF_A_CALL, unless
  the caller ID has such a run: so a campaign with one wrong number ends.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, QuerySet

from accounts.models import CallerId
from campaigns.models import Outcome
from dialer import rests
from dialer.attempt_ends import Ended
from dialer.carriers.base import Refused
from dialer.models import CallAttempt, CallerIdHealth

log = structlog.get_logger(__name__)

# How long a call waits after its first refusal, doubled with each further one up to the longest.
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=5)


class RefusedCall(NamedTuple):
    """A call that the carrier would not place, without naming its number as the reason."""

    attempt_id: UUID
    call_id: int
    number: str
    reply: Refused


class Earlier(NamedTuple):
    """The refusals of a call before this one."""

    times: int
    last_at: datetime


def took_a_call(caller_id: CallerId, trunk_id: int) -> None:
    """End the run of refusals, and the rest for it.

    Args:
        caller_id: with its health as it was when the call was placed. A run that began since then goes on.
        trunk_id: that took the call. It says nothing of another one, if calls leave over that by now.
    """
    try:
        health = caller_id.health
    except CallerIdHealth.DoesNotExist:
        return
    if not health.refused_numbers:
        return
    # Calls that are taken and then fail at once rest it for another reason.
    awake = {} if health.is_failing else rests.AWAKE
    _of(caller_id, trunk_id).update(refused_numbers=[], refused_since=None, **awake)
    if health.failures and awake:
        log.info("caller_id_up", caller_id=caller_id.number, failures=health.failures)


def refused_a_number(caller_id: CallerId, trunk_id: int) -> None:
    """Let the next call try the caller ID: the refusal of a number for its own sake says nothing about it."""
    if _failures(caller_id):
        _of(caller_id, trunk_id).update(next_try_at=None)


def _of(caller_id: CallerId, trunk_id: int) -> "QuerySet[CallerIdHealth]":
    """Return the health, if calls still leave over this trunk."""
    return CallerIdHealth.objects.filter(pk=caller_id.pk, caller_id__trunk=trunk_id)


def _failures(caller_id: CallerId) -> int:
    try:
        return caller_id.health.failures
    except CallerIdHealth.DoesNotExist:
        return 0


def refused(
    caller_id: CallerId, trunk_id: int, calls: Sequence[RefusedCall], now: datetime, *, taken: int
) -> list[Ended]:
    """Note the refusals of one batch over a trunk. Returns the ends of their attempts.

    Args:
        taken: how many other calls of the same batch the carrier took. Which came first can't be known. Where most were
            taken, the refusals are strays. Where most were refused, they begin a run that a further refusal completes.
    """
    with transaction.atomic():
        CallerIdHealth.objects.get_or_create(pk=caller_id.pk)
        health = CallerIdHealth.objects.select_for_update().get(pk=caller_id.pk)
        earlier = _earlier([call.call_id for call in calls], trunk_id)
        if not _of(caller_id, trunk_id).exists():
            # Calls leave over another trunk by now, of which these say nothing.
            return [_end(call, earlier.get(call.call_id), now, has_failed=False, is_run=True) for call in calls]
        if taken or not health.refused_numbers:
            health.refused_numbers, health.refused_since = [], now
        if taken and not health.is_failing:
            rests.end(health)
        own = {call.call_id for call in calls if _taken_since(earlier.get(call.call_id), health)}
        suspects = [call for call in calls if call.call_id not in own]
        if taken < len(calls):
            _add(health, suspects, settings.REFUSALS_BEFORE_REST - bool(taken))
        is_run = len(health.refused_numbers) >= settings.REFUSALS_BEFORE_REST
        rest = rests.begin(health, suspects[0].reply.reason, now) if is_run and suspects else None
        health.save()
    if rest:
        log.warning(
            "caller_id_down",
            caller_id=caller_id.number,
            failures=health.failures,
            rest_seconds=rest.seconds,
            error=health.last_error,
        )
    return [_end(call, earlier.get(call.call_id), now, has_failed=call.call_id in own, is_run=is_run) for call in calls]


def _taken_since(earlier: Earlier | None, health: CallerIdHealth) -> bool:
    """Tell whether another call was taken since this one was refused: then a new run has begun since."""
    return bool(earlier and health.refused_since and earlier.last_at < health.refused_since)


def _add(health: CallerIdHealth, calls: Sequence[RefusedCall], most: int) -> None:
    for call in calls:
        if len(health.refused_numbers) < most and call.number not in health.refused_numbers:
            health.refused_numbers.append(call.number)


def _earlier(call_ids: Sequence[int], trunk_id: int) -> Mapping[int, Earlier]:
    refusals = CallAttempt.objects.filter(call__in=call_ids, trunk=trunk_id, was_refused=True)
    rows = refusals.values_list("call").annotate(Count("id"), Max("ended_at"))
    return {call_id: Earlier(times, last_at) for call_id, times, last_at in rows}


def _end(call: RefusedCall, earlier: Earlier | None, now: datetime, *, has_failed: bool, is_run: bool) -> Ended:
    times = 1 + (earlier.times if earlier else 0)
    reason, http_status = call.reply.reason, call.reply.http_status
    if has_failed or (times >= settings.REFUSALS_OF_A_CALL and not is_run):
        return Ended(call.attempt_id, Outcome.FAILED, http_status=http_status, reason=reason, refused=True)
    wait = min(FIRST_WAIT * 2 ** min(times - 1, 10), LONGEST_WAIT)
    return Ended(call.attempt_id, Outcome.CANCELED, http_status=http_status, reason=reason, retry_at=now + wait)
