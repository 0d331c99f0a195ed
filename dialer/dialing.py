"""Placing a batch of claimed attempts: ask the gate once more, commit the intent, ask the carrier, keep its answers.

The carrier is asked outside any transaction. A crash before the intent leaves an attempt `claimed`, one after it leaves
`placing`: `recovery` knows what to do with both.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from accounts.models import Trunk
from campaigns.models import CustomField, Outcome
from campaigns.state_machine import Move
from dialer import attempt_states, gate, links, outcomes, trunk_health
from dialer.carriers import carrier_of
from dialer.carriers.base import Accepted, Ambiguous, Answer, CallRequest, Refused, Unavailable
from dialer.models import CallAttempt
from dialer.outcomes import Ended

log = structlog.get_logger(__name__)

S = CallAttempt.Status


def dial(attempt_ids: Sequence[UUID], now: datetime) -> None:
    """Places those of the attempts that are still claimed: a second delivery of the same batch finds nothing to do."""
    attempts = _claimed(attempt_ids)
    attempts = _give_back_what_may_not_go(attempts, now)
    moves = [Move(attempt.pk, S.PLACING, "", {"placing_at": now, "heard_at": now}) for attempt in attempts]
    ours = attempt_states.move(moves, at=now)
    by_trunk: dict[Trunk, list[CallAttempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.pk in ours:
            by_trunk[attempt.trunk].append(attempt)
    for trunk, batch in by_trunk.items():
        answers = carrier_of(trunk).place([_request(attempt) for attempt in batch])
        _keep(trunk, answers, timezone.now())


def _claimed(attempt_ids: Sequence[UUID]) -> list[CallAttempt]:
    attempts = CallAttempt.objects.filter(pk__in=attempt_ids, status=S.CLAIMED)
    return list(
        attempts.select_related(
            "call", "trunk", "campaign__account", "campaign__caller_id__trunk__health", "campaign__custom_field"
        )
    )


def _give_back_what_may_not_go(attempts: Sequence[CallAttempt], now: datetime) -> list[CallAttempt]:
    """The gate may have shut since the claim: a pause, an end, the last second of the calling hours."""
    verdicts = {attempt.campaign_id: gate.check(attempt.campaign, now) for attempt in attempts}
    shut = [attempt for attempt in attempts if not isinstance(verdicts[attempt.campaign_id], gate.Open)]
    if shut:
        ends = [Ended(each.pk, Outcome.CANCELED, reason=_because(verdicts[each.campaign_id])) for each in shut]
        outcomes.end(ends, now)
    return [attempt for attempt in attempts if attempt not in shut]


def _because(verdict: gate.Verdict) -> str:
    return "" if isinstance(verdict, gate.Open) else verdict.because


def _request(attempt: CallAttempt) -> CallRequest:
    campaign = attempt.campaign
    hosted_here = attempt.trunk.carrier != Trunk.Carrier.EXOTEL
    try:
        custom_field = campaign.custom_field.value
    except CustomField.DoesNotExist:
        custom_field = ""
    return CallRequest(
        attempt_id=attempt.pk,
        number=attempt.call.number,
        caller_id=campaign.caller_id.number,
        # Exotel runs the flow of that number in its own account; the sandbox reads ours.
        flow_url=links.flow_url(campaign) if hosted_here else campaign.flow_url,
        custom_field=custom_field,
        callback_url=links.events_url(attempt.trunk.carrier, attempt.pk),
        ring_timeout=settings.RING_TIMEOUT_SECONDS,
        max_seconds=settings.MAX_CALL_SECONDS,
    )


def _keep(trunk: Trunk, answers: Mapping[UUID, Answer], now: datetime) -> None:
    """Stores what the carrier said: in one statement for the calls that it took."""
    accepted = {pk: answer.carrier_ref for pk, answer in answers.items() if isinstance(answer, Accepted)}
    lost = {pk: answer for pk, answer in answers.items() if isinstance(answer, Ambiguous)}
    moves = [Move(pk, S.IN_PROGRESS, "", {"carrier_ref": ref, "heard_at": now}) for pk, ref in accepted.items()]
    attempt_states.move(moves, at=now)
    # The carrier is asked by recovery, within seconds.
    attempt_states.move([Move(pk, S.UNKNOWN, answer.reason) for pk, answer in lost.items()], at=now)
    outcomes.end([end for pk, answer in answers.items() if (end := _end(pk, answer))], now)
    _judge_trunk(trunk, answers, now)


def _end(attempt_id: UUID, answer: Answer) -> Ended | None:
    match answer:
        case Refused(reason, http_status):
            return Ended(attempt_id, Outcome.FAILED, http_status=http_status, reason=reason, refused=True)
        case Unavailable(reason, http_status):
            return Ended(attempt_id, Outcome.CANCELED, http_status=http_status, reason=reason)
    return None


def _judge_trunk(trunk: Trunk, answers: Mapping[UUID, Answer], now: datetime) -> None:
    """A trunk is well when it answers, even with a refusal; it rests when it could not take all that it was given."""
    unavailable = [answer for answer in answers.values() if isinstance(answer, Unavailable)]
    if any(isinstance(answer, Accepted | Refused) for answer in answers.values()):
        trunk_health.took_a_call([trunk.pk])
    if unavailable:
        trunk_health.took_no_call(trunk.pk, unavailable[0].reason, now)
        log.warning("calls_not_taken", trunk=trunk.name, calls=len(unavailable), reason=unavailable[0].reason)
