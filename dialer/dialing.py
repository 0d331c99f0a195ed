"""Placing a batch of claimed attempts: ask the gate once more, commit the intent, ask the carrier, keep its answers.

The carrier is asked outside any transaction. A crash before the intent leaves an attempt `claimed`, one after it leaves
`placing`: `recovery` knows what to do with both.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.encryption import UnreadableSecret
from accounts.models import Trunk
from campaigns import campaign_lock, fault_points
from campaigns.models import Campaign, CustomField, Outcome
from campaigns.state_machine import Move
from dialer import attempt_states, gate, links, outcomes, trunk_health
from dialer.carriers import carrier_of
from dialer.carriers.base import Accepted, Ambiguous, Answer, CallRequest, Refused, TooLate, Unavailable
from dialer.database_faults import PASSING
from dialer.models import CallAttempt
from dialer.outcomes import Ended

log = structlog.get_logger(__name__)

S = CallAttempt.Status


# A claim is dialled within milliseconds. One that has waited longer was held up somewhere; dialling it now would break
# the pace that it was claimed under, so it is given back and claimed anew.
CLAIM_KEPT = timedelta(seconds=10)
# How long after the intent the carrier may still be asked. Far below the half minute after which recovery believes a
# carrier that knows no such call.
ASKED_WITHIN = timedelta(seconds=5)


def dial(attempt_ids: Sequence[UUID]) -> None:
    """Places those of the attempts that are still claimed: a second delivery of the same batch finds nothing to do."""
    # A slow carrier holds up the others of this batch, so each gets its own look at the gate and the clock.
    for trunk, batch in _by_trunk(attempt_ids).items():
        _dial_over(trunk, batch, timezone.now())


def _by_trunk(attempt_ids: Sequence[UUID]) -> dict[Trunk, list[UUID]]:
    by_trunk: dict[Trunk, list[UUID]] = defaultdict(list)
    for attempt in CallAttempt.objects.filter(pk__in=attempt_ids, status=S.CLAIMED).select_related("trunk"):
        by_trunk[attempt.trunk].append(attempt.pk)
    return by_trunk


def _dial_over(trunk: Trunk, attempt_ids: Sequence[UUID], now: datetime) -> None:
    try:
        requests = _commit_intent(attempt_ids, now)
    except PASSING:
        raise
    except Exception as error:
        log.exception("intent_failed", attempts=len(attempt_ids))
        if len(attempt_ids) > 1:
            # Trying one at a time finds the one to blame.
            for attempt_id in attempt_ids:
                _dial_over(trunk, [attempt_id], timezone.now())
        else:
            outcomes.give_up(attempt_ids[0], error, now)
        return
    if requests:
        fault_points.reached("placing")
        answers = _ask(trunk, requests)
        fault_points.reached("carrier-answered")
        try:
            _keep(trunk, answers, timezone.now())
        except PASSING:
            raise
        except Exception:
            # Recovery asks the carrier for those that are left in `placing`, one by one.
            log.exception("answers_not_kept", trunk=trunk.name, attempts=len(answers))
        fault_points.reached("answer-kept")


def _commit_intent(attempt_ids: Sequence[UUID], now: datetime) -> list[CallRequest]:
    """Moves those that may be dialled to placing, gives the others back; answers what to ask the carrier for."""
    with transaction.atomic():
        attempts = _lock_claimed(attempt_ids)
        refusals = {attempt.pk: because for attempt in attempts if (because := _why_not(attempt, now))}
        moves = [
            Move(attempt.pk, S.PLACING, "", {"placing_at": now, "heard_at": now})
            for attempt in attempts
            if attempt.pk not in refusals
        ]
        placing = attempt_states.move(moves, at=now)
    outcomes.end([Ended(pk, Outcome.CANCELED, reason=because) for pk, because in refusals.items()], now)
    return [_request(attempt, now) for attempt in attempts if attempt.pk in placing]


def _lock_claimed(attempt_ids: Sequence[UUID]) -> list[CallAttempt]:
    """The attempts that are still claimed. Their campaigns can't be paused or ended until the intent is committed."""
    campaign_lock.hold_shared(CallAttempt.objects.filter(pk__in=attempt_ids).values("campaign_id"))
    attempts = CallAttempt.objects.filter(pk__in=attempt_ids, status=S.CLAIMED)
    return list(
        attempts.select_related(
            "call__campaign",
            "trunk",
            "campaign__account",
            "campaign__caller_id__trunk__health",
            "campaign__custom_field",
        )
    )


def _why_not(attempt: CallAttempt, now: datetime) -> str:
    """Why this claim must not be dialled any more: the gate may have shut since. "" when it may."""
    verdict = gate.check(attempt.campaign, now)
    if not isinstance(verdict, gate.Open):
        return verdict.because
    return "no dialer took it in time" if now - attempt.claimed_at > CLAIM_KEPT else ""


def _ask(trunk: Trunk, requests: Sequence[CallRequest]) -> Mapping[UUID, Answer]:
    try:
        return carrier_of(trunk).place(requests)
    except UnreadableSecret as error:
        log.warning("trunk_secret_unreadable", trunk=trunk.name)
        return {request.attempt_id: Unavailable(f"the API token can't be read: {error}") for request in requests}


def _request(attempt: CallAttempt, now: datetime) -> CallRequest:
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
        flow_url=links.flow_url(attempt.call) if hosted_here else campaign.flow_url,
        custom_field=custom_field,
        callback_url=links.events_url(attempt.trunk.carrier, attempt.pk),
        ring_timeout=settings.RING_TIMEOUT_SECONDS,
        max_seconds=settings.MAX_CALL_SECONDS,
        ask_before=_ask_before(campaign, now),
    )


def _ask_before(campaign: Campaign, now: datetime) -> datetime:
    """Until when the request may be sent: not beyond a moment at which the gate will be shut, to the second."""
    latest = now + ASKED_WITHIN
    while latest > now and not isinstance(gate.check(campaign, latest), gate.Open):
        latest -= timedelta(seconds=1)
    return latest


def _keep(trunk: Trunk, answers: Mapping[UUID, Answer], now: datetime) -> None:
    """Stores what the carrier said: in one statement for the calls that it took."""
    accepted = {pk: answer.carrier_ref for pk, answer in answers.items() if isinstance(answer, Accepted)}
    lost = {pk: answer for pk, answer in answers.items() if isinstance(answer, Ambiguous)}
    outcomes.note_accepted(accepted, now)
    # The carrier is asked by recovery, within seconds.
    attempt_states.move([Move(pk, S.UNKNOWN, answer.reason) for pk, answer in lost.items()], at=now)
    outcomes.end([end for pk, answer in answers.items() if (end := _end(pk, answer))], now)
    _hang_up_strays(trunk, accepted)
    _judge_trunk(trunk, answers, now)


def _hang_up_strays(trunk: Trunk, accepted: Mapping[UUID, str]) -> None:
    """A call that was taken for an attempt which has been given back meanwhile: this process was away for too long."""
    given_back = CallAttempt.objects.filter(pk__in=list(accepted), status=S.CANCELED).values_list("pk", flat=True)
    if strays := [accepted[pk] for pk in given_back]:
        log.error("calls_taken_too_late", trunk=trunk.name, calls=len(strays))
        carrier_of(trunk).hang_up(strays)


def _end(attempt_id: UUID, answer: Answer) -> Ended | None:
    match answer:
        case Refused(reason, http_status):
            return Ended(attempt_id, Outcome.FAILED, http_status=http_status, reason=reason, refused=True)
        case Unavailable(reason, http_status):
            return Ended(attempt_id, Outcome.CANCELED, http_status=http_status, reason=reason)
        case TooLate():
            return Ended(attempt_id, Outcome.CANCELED, reason="the carrier was not asked in time")
    return None


def _judge_trunk(trunk: Trunk, answers: Mapping[UUID, Answer], now: datetime) -> None:
    """A trunk is well when it answers, even with a refusal; it rests when it could not take all that it was given."""
    unavailable = [answer for answer in answers.values() if isinstance(answer, Unavailable)]
    if any(isinstance(answer, Accepted | Refused) for answer in answers.values()):
        trunk_health.took_a_call(trunk.pk)
    if unavailable:
        trunk_health.took_no_call(trunk.pk, unavailable[0].reason, now)
        log.warning("calls_not_taken", trunk=trunk.name, calls=len(unavailable), reason=unavailable[0].reason)
