"""Place a batch of claimed attempts: ask the gate once more, commit the intent, ask the carrier, store its replies.

The carrier is asked outside any transaction. A crash before the intent leaves an attempt `claimed`, one after it leaves
`placing`. `recovery` repairs both.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction

from accounts import installation
from accounts.calling_rules import rules_of
from accounts.carriers import FlowFormat, UnknownCarrier
from accounts.models import CallerId, Trunk
from campaigns import campaign_lock
from campaigns.models import Campaign, CustomField, Outcome
from contacts import callees, do_not_call, zones
from core import batches, clocks, failpoints
from core.composed_once import ComposedOnce
from core.encryption import UnreadableSecret
from core.state_machine import Move
from dialer import (
    attempt_states,
    caller_id_health,
    carrier_refs,
    daily_limits,
    failover,
    gate,
    hang_ups,
    holds,
    inbox,
    links,
    look_up_pace,
    number_gate,
    outcomes,
    restores,
    trunk_health,
    under_way,
)
from dialer.attempt_ends import Ended
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.caller_id_health import RefusedCall
from dialer.carriers import carrier_of
from dialer.carriers.base import (
    Accepted,
    Ambiguous,
    CallRequest,
    Detection,
    RawEvent,
    Refused,
    Reply,
    TooLate,
    Unavailable,
)
from dialer.models import CallAttempt
from dialer.number_gate import Asked, Ring

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

# The HTTP status of a carrier that takes no more requests of us for now.
TOO_MANY_REQUESTS = 429
# How long after the intent the carrier may still be asked. Far below the half minute after which recovery believes a
# carrier that knows no such call.
ASKED_WITHIN = timedelta(seconds=5)


def dial(attempt_ids: Sequence[UUID]) -> None:
    """Place those of the attempts that are still claimed: a second delivery of the same batch finds nothing to do.

    Args:
        attempt_ids: of one trunk, as messages.enqueue_dial sends them. A slow trunk would hold up another for too long.
    """
    if not attempt_ids:
        return
    failpoints.reached("batch-taken")
    now = clocks.now()
    if not restores.may_dial(now):
        return
    requests = batches.together(
        "commit intents",
        lambda: _commit_intent(attempt_ids, now),
        otherwise=lambda: _commit_one_by_one(attempt_ids, now),
    )
    restores.note([placing.request.attempt_id for batch in requests.values() for placing in batch], now)
    for trunk, batch in requests.items():
        _place(trunk, batch)


class Placing(NamedTuple):
    """An attempt whose intent is committed, with its caller ID and that one's health as they were then."""

    request: CallRequest
    call_id: int
    caller_id: CallerId


def _place(trunk: Trunk, batch: Sequence[Placing]) -> None:
    failpoints.reached("placing")
    replies = _ask(trunk, [placing.request for placing in batch])
    failpoints.reached("carrier-answered")
    inbox.append(trunk.carrier, _events(replies))
    try:
        _store(trunk, batch, replies, clocks.now())
    except batches.TRANSIENT_ERRORS:
        raise
    except Exception:
        # Recovery asks the carrier for those that are left in `placing`, one by one.
        log.exception("replies_not_stored", trunk=trunk.name, attempts=len(replies))
    failpoints.reached("answer-kept")


def _events(replies: Mapping[UUID, Reply]) -> list[RawEvent]:
    """Return the events that came with the carrier's replies."""
    accepted = ((pk, reply) for pk, reply in replies.items() if isinstance(reply, Accepted))
    return [(attempt_id, event) for attempt_id, reply in accepted for event in reply.events]


class Claimed(NamedTuple):
    """An attempt to place, with what the same statement has looked up of its number.

    Attributes:
        may_be_listed, was_called_lately, may_be_connected: as of `number_gate.Ring`.
        time_zone, consent_date, consent_scope: of the contact; None where there is none.
    """

    attempt_id: UUID
    campaign_id: UUID
    trunk_id: int
    call_id: int
    number: str
    claimed_at: datetime
    row_zone: str | None
    rule: str
    may_be_listed: bool
    was_called_lately: bool
    may_be_connected: bool
    time_zone: str | None
    consent_date: date | None
    consent_scope: str | None

    def ring(self, campaign: Campaign) -> Ring[UUID]:
        callee = callees.of(self.time_zone, self.consent_date, self.consent_scope)
        looked_up = (self.may_be_listed, self.was_called_lately, self.may_be_connected, callee)
        return Ring(self.attempt_id, campaign, self.number, self.row_zone or "", self.rule, *looked_up)


def _commit_intent(attempt_ids: Sequence[UUID], now: datetime) -> dict[Trunk, list[Placing]]:
    """Move the attempts that may be dialled to placing and give the others back. Returns what to ask the carriers."""
    with transaction.atomic():
        claims, campaigns = _claimed(attempt_ids, now)
        daily_limits.load((campaign.account for campaign in campaigns.values()), now)
        verdicts = {pk: gate.check(campaign, now) for pk, campaign in campaigns.items()}
        why_not = {claim.attempt_id: _why_not(claim, verdicts[claim.campaign_id], now) for claim in claims}
        failpoints.reached("gate-asked")
        shut = number_gate.check(
            [claim.ring(campaigns[claim.campaign_id]) for claim in claims if not why_not[claim.attempt_id]],
            now,
            until=now + ASKED_WITHIN,
        )
        ends = [Ended(pk, Outcome.CANCELED, reason=because) for pk, because in why_not.items() if because]
        ends += [_kept_from_ringing(pk, verdict, now) for pk, verdict in shut.items()]
        refusals = {ended.attempt_id for ended in ends}
        trunks = _trunks({claim.trunk_id for claim in claims}, campaigns.values())
        # The account of the settings that are used to ask: the trunk may be given others at any moment.
        moves = [
            Move(claim.attempt_id, Status.PLACING, "", _intent(trunks[claim.trunk_id], now))
            for claim in claims
            if claim.attempt_id not in refusals
        ]
        placing = attempt_states.move(moves, at=now)
    outcomes.end(ends, now)
    return _requests([claim for claim in claims if claim.attempt_id in placing], trunks, campaigns, now)


def _intent(trunk: Trunk, now: datetime) -> dict[str, Any]:
    return {"placing_at": now, "heard_at": now, "carrier_account": trunk.carrier_account_id}


def _commit_one_by_one(attempt_ids: Sequence[UUID], now: datetime) -> dict[Trunk, list[Placing]]:
    """Do the same attempt by attempt: one whose intent can't be committed is given up."""
    committed = batches.one_by_one(
        "commit intents",
        attempt_ids,
        lambda attempt_id: _commit_intent([attempt_id], now),
        give_up=lambda attempt_id, error: outcomes.give_up(attempt_id, error, now),
    )
    requests: dict[Trunk, list[Placing]] = defaultdict(list)
    for of_one in committed.values():
        for trunk, batch in of_one.items():
            requests[trunk] += batch
    return requests


# The campaigns whose locks a batch holds, and that of the hold.
_LOCKED = "SELECT campaign_id FROM dialer_callattempt WHERE id = ANY(%s) UNION ALL SELECT %s::uuid"


def _claimed(attempt_ids: Sequence[UUID], now: datetime) -> tuple[list[Claimed], dict[UUID, Campaign]]:
    """Return the attempts that are still claimed, and their campaigns with all that the gate and the requests need.

    None after a restore, while calls may be missing: what was claimed may have rung. `reconcile` finds out, and the
    release gives them back. The campaigns can't be paused or ended, nor the server be held, until the intent is
    committed. A batch has few campaigns, so each is loaded once.
    """
    held = campaign_lock.hold_shared(_LOCKED, list(attempt_ids), holds.LOCK)
    campaigns: dict[UUID, Any] = _CAMPAIGNS.by_key(set(held) - {holds.LOCK})
    for campaign in campaigns.values():
        holds.keep(campaign.account, campaign.held)
    with connection.cursor() as cursor:
        asked = number_gate.asked_of(campaigns.values())
        cursor.execute(_claimed_sql(asked), {"attempts": list(attempt_ids), "now": now})
        return [Claimed(*row) for row in cursor.fetchall()], campaigns


@lru_cache
def _claimed_sql(asked: Asked) -> str:
    columns, join = number_gate.looked_up(asked)
    return f"""
        SELECT due.id, due.campaign_id, due.trunk_id, due.call_id, due.number, due.claimed_at, due.row_zone, due.rule,
            {columns}
        FROM (
            SELECT attempt.id, attempt.campaign_id, attempt.trunk_id, attempt.call_id, call.number, attempt.claimed_at,
                call.variables ->> '{zones.COLUMN}' AS row_zone, call.rule, attempt.account_id
            FROM dialer_callattempt AS attempt JOIN campaigns_call AS call ON call.id = attempt.call_id
            WHERE attempt.id = ANY(%(attempts)s) AND attempt.status = 'claimed'
                AND NOT {installation.MAY_LACK_CALLS}
        ) AS due
        {join}
    """  # noqa: S608 -- made of constants, and every value is a parameter


# With all that the gate and the requests need.
_CAMPAIGNS = ComposedOnce(
    lambda: (
        Campaign.objects.select_related(
            "account", "caller_id__trunk__health", "caller_id__health", "custom_field", "flow"
        )
        .defer("flow__document")
        .annotate(has_list=do_not_call.has_list("account_id"), has_legs=under_way.has_legs(), held=holds.annotation())
    )
)


def _why_not(claim: Claimed, verdict: gate.Verdict, now: datetime) -> str:
    """Return why this claim must not be dialled any more, for instance a gate that has shut since; "" when it may."""
    if not isinstance(verdict, gate.Open):
        return verdict.because
    return "no dialer took it in time" if now - claim.claimed_at > CLAIM_LIFETIME else ""


def _kept_from_ringing(attempt_id: UUID, verdict: number_gate.Shut, now: datetime) -> Ended:
    """Return the end of an attempt whose number must not be rung: its call is held, or ends."""
    if isinstance(verdict, gate.Never):
        return Ended(attempt_id, Outcome.CANCELED, reason=verdict.because, final=True, rule=verdict.code)
    held_until = verdict.at or now + number_gate.ASKED_AGAIN
    return Ended(
        attempt_id, Outcome.CANCELED, reason=verdict.because, held_until=held_until, rule=verdict.code, is_resting=True
    )


def _ask(trunk: Trunk, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
    try:
        return carrier_of(trunk).place(requests)
    except UnreadableSecret as error:
        log.warning("trunk_secret_unreadable", trunk=trunk.name)
        return {request.attempt_id: Unavailable(f"the API token can't be read: {error}") for request in requests}
    except UnknownCarrier as error:
        log.warning("trunk_without_driver", trunk=trunk.name, carrier=trunk.carrier)
        return {request.attempt_id: Unavailable(str(error)) for request in requests}


def _requests(
    claims: Sequence[Claimed], trunks: Mapping[int, Trunk], campaigns: Mapping[UUID, Campaign], now: datetime
) -> dict[Trunk, list[Placing]]:
    ask_before = {pk: _ask_before(campaign, now) for pk, campaign in campaigns.items()}
    requests: dict[Trunk, list[Placing]] = defaultdict(list)
    for claim in claims:
        trunk, campaign = trunks[claim.trunk_id], campaigns[claim.campaign_id]
        request = _request(claim, trunk, campaign, ask_before[campaign.pk])
        requests[trunk].append(Placing(request, claim.call_id, campaign.caller_id))
    return requests


def _trunks(trunk_ids: Set[int], campaigns: Iterable[Campaign]) -> dict[int, Trunk]:
    """Return the trunks with their health. One is loaded only where its caller ID has left it since the claim."""
    loaded = {campaign.caller_id.trunk_id: campaign.caller_id.trunk for campaign in campaigns}
    if missing := trunk_ids - loaded.keys():
        loaded |= Trunk.objects.select_related("health").in_bulk(missing)
    return loaded


def _request(claim: Claimed, trunk: Trunk, campaign: Campaign, ask_before: datetime) -> CallRequest:
    try:
        custom_field = campaign.custom_field.value
    except CustomField.DoesNotExist:
        custom_field = ""
    reads_twiml = _reads_twiml(trunk)
    return CallRequest(
        attempt_id=claim.attempt_id,
        number=claim.number,
        caller_id=campaign.caller_id.number,
        flow_id=campaign.flow.flow_id if campaign.flow else "",
        flow_url=links.twiml_url(claim.attempt_id) if reads_twiml else links.flow_url(campaign, claim.call_id),
        custom_field=custom_field,
        callback_url=links.events_url(trunk.carrier, claim.attempt_id),
        ring_timeout=_ring_timeout(campaign),
        max_seconds=settings.MAX_CALL_SECONDS,
        ask_before=ask_before,
        detection=_DETECTION[campaign.machine_detection],
        error_url=links.twiml_error_url(claim.attempt_id) if reads_twiml else "",
    )


_DETECTION: Mapping[str, Detection] = {
    Campaign.MachineDetection.OFF: Detection.NONE,
    Campaign.MachineDetection.HANG_UP: Detection.MACHINE,
    Campaign.MachineDetection.LEAVE_MESSAGE: Detection.END_OF_GREETING,
    Campaign.MachineDetection.AS_A_PERSON: Detection.MACHINE,
}


def _ring_timeout(campaign: Campaign) -> int:
    """Return for how long the phone may ring: never longer than what recovery and the leases count with."""
    own = campaign.ring_timeout or campaign.account.ring_timeout or settings.RING_TIMEOUT_SECONDS
    return min(max(own, rules_of(campaign.account, campaign).rings_at_least), settings.RING_TIMEOUT_SECONDS)


def _reads_twiml(trunk: Trunk) -> bool:
    try:
        return trunk.kind.flow_format == FlowFormat.TWIML
    except UnknownCarrier:
        return False  # no carrier is asked


def _ask_before(campaign: Campaign, now: datetime) -> datetime:
    """Return until when the request may be sent: not beyond a moment at which the gate will be shut, to the second."""
    latest = now + ASKED_WITHIN
    while latest > now and not isinstance(gate.check(campaign, latest), gate.Open):
        latest -= timedelta(seconds=1)
    return latest


def _store(trunk: Trunk, batch: Sequence[Placing], replies: Mapping[UUID, Reply], now: datetime) -> None:
    """Store the carrier's replies: in one statement for the calls that it took."""
    accepted = {pk: reply.carrier_ref for pk, reply in replies.items() if isinstance(reply, Accepted)}
    lost = {pk: reply for pk, reply in replies.items() if isinstance(reply, Ambiguous)}
    stored = outcomes.store_accepted(accepted, now)
    # The carrier is asked by recovery, within seconds.
    attempt_states.doubt({pk: reply.reason for pk, reply in lost.items()}, at=now)
    ends = [end for pk, reply in replies.items() if (end := _end(pk, reply))]
    outcomes.end([*ends, *_judge_caller_ids(trunk, batch, replies, now)], now)
    if left := {pk: ref for pk, ref in accepted.items() if pk not in stored}:
        _hang_up_strays(trunk, left)
    _judge_trunk(trunk, replies, now)
    if any(isinstance(reply, Unavailable | Refused) for reply in replies.values()):
        failover.choose(now, trunk)


def _hang_up_strays(trunk: Trunk, accepted: Mapping[UUID, str]) -> None:
    """Hang up calls whose attempts have been given back meanwhile: this process was away for too long."""
    given_back = CallAttempt.objects.filter(pk__in=list(accepted), status=Status.CANCELED).values_list("pk", flat=True)
    strays = {pk: accepted[pk] for pk in given_back}
    others = carrier_refs.held_by_others(strays) if strays else set()
    if strays:
        carrier = carrier_of(trunk)
        log.error("calls_taken_too_late", trunk=trunk.name, calls=len(strays), hung_up=carrier.kind.hangs_up)
        hang_ups.ask(carrier, [ref for pk, ref in strays.items() if pk not in others])


def _end(attempt_id: UUID, reply: Reply) -> Ended | None:
    match reply:
        case Refused(reason, http_status, names_number=True, wish=wish):
            return Ended(attempt_id, Outcome.FAILED, http_status=http_status, reason=reason, refused=True, wish=wish)
        case Unavailable(reason, http_status):
            return Ended(attempt_id, Outcome.CANCELED, http_status=http_status, reason=reason, is_resting=True)
        case TooLate():
            return Ended(attempt_id, Outcome.CANCELED, reason="the carrier was not asked in time")
    return None


def _judge_caller_ids(
    trunk: Trunk, batch: Sequence[Placing], replies: Mapping[UUID, Reply], now: datetime
) -> list[Ended]:
    """Note what the replies say of each caller ID. Returns the ends of the attempts whose refusal names no number."""
    by_caller_id: dict[CallerId, list[Placing]] = defaultdict(list)
    for placing in batch:
        by_caller_id[placing.caller_id].append(placing)
    ends: list[Ended] = []
    for caller_id, placings in by_caller_id.items():
        own = {placing: replies.get(placing.request.attempt_id) for placing in placings}
        taken = sum(isinstance(reply, Accepted) for reply in own.values())
        refused = [
            RefusedCall(placing.request.attempt_id, placing.call_id, placing.request.number, reply)
            for placing, reply in own.items()
            if isinstance(reply, Refused) and not reply.names_number
        ]
        if refused:
            ends += caller_id_health.refused(caller_id, trunk.pk, refused, now, taken=taken)
        elif taken:
            caller_id_health.took_a_call(caller_id, trunk.pk)
        elif any(isinstance(reply, Refused) for reply in own.values()):
            caller_id_health.refused_a_number(caller_id, trunk.pk)
    return ends


def _judge_trunk(trunk: Trunk, replies: Mapping[UUID, Reply], now: datetime) -> None:
    """Mark the trunk as up when its carrier is there, even with a refusal; let it rest when it took not every call."""
    unavailable = [reply for reply in replies.values() if isinstance(reply, Unavailable)]
    if any(isinstance(reply, Accepted | Refused) for reply in replies.values()):
        trunk_health.took_a_call(trunk)
    if unavailable:
        trunk_health.took_no_call(trunk.pk, unavailable[0].reason, now)
        if any(reply.http_status == TOO_MANY_REQUESTS for reply in unavailable):
            look_up_pace.give_way(trunk.carrier_account_id, now)
        log.warning("calls_not_taken", trunk=trunk.name, calls=len(unavailable), reason=unavailable[0].reason)
