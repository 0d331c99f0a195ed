"""Claim due calls for leases: lock them, store their attempts, and move them to in-progress.

An account has at most one attempt under way for a number, over all its campaigns, caller IDs and lists. Other calls to
that number are passed over: they stay due at no cost, and are dialed when the attempt under way has ended.
"""

import random
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from django.db import connection

from accounts.models import CallerId
from campaigns import call_states
from campaigns import signals as campaign_signals
from campaigns.models import Call, Campaign
from core import batches
from core.state_machine import Move
from dialer import attempt_states
from dialer.attempt_states import Claim
from dialer.channels import LeaseRequest


class Dialed(Protocol):
    """The campaign of a lease."""

    @property
    def pk(self) -> UUID: ...
    @property
    def account_id(self) -> int: ...
    @property
    def caller_id(self) -> CallerId: ...


Leased = Sequence[tuple[LeaseRequest, Dialed]]

# Of a row `call` whether no attempt of the account %(account)s is under way for its number.
NUMBER_IS_FREE = """NOT EXISTS (
    SELECT FROM dialer_callattempt AS under_way
    WHERE under_way.account_id = %(account)s AND under_way.callee = call.number
        AND under_way.status IN ('claimed', 'placing', 'in-progress', 'unknown'))"""


@dataclass(frozen=True)
class Claimed:
    """What was claimed, and how many due calls were passed over for a number that another call has just taken."""

    claims: Sequence[Claim]
    passed_over: int = 0


class DueCall(NamedTuple):
    """A due call that this transaction has locked."""

    call_id: int
    campaign_id: UUID
    number: str
    attempts_made: int


def claim(leased: Leased, now: datetime) -> Claimed:
    """Claim a due call for each lease where there is one."""
    matched, passed_over = _match(leased, now)
    stored = _store(matched, now) if matched else set()
    claims = [claim for claim in matched if claim.attempt_id in stored]
    return Claimed(claims, passed_over + len(matched) - len(claims))


def claim_one_by_one(leased: Leased, now: datetime) -> Claimed:
    """Do the same call by call: one that can't be claimed fails, and says why."""
    matched, passed_over = _match(leased, now)
    stored = batches.one_by_one(
        "claim calls",
        matched,
        lambda claim: _store([claim], now),
        give_up=lambda claim, error: _fail(claim, error, now),
    )
    claims = [claim for claim, attempt_ids in stored.items() if attempt_ids]
    return Claimed(claims, passed_over + len(stored) - len(claims))


def _match(leased: Leased, now: datetime) -> tuple[list[Claim], int]:
    """Lock a due call for each lease where there is one. Returns their claims, one per number, and the rest's count."""
    if not leased:
        return [], 0
    campaigns = {campaign.pk: campaign for _, campaign in leased}
    holders: dict[UUID, list[UUID]] = {pk: [] for pk in campaigns}
    for request, campaign in leased:
        holders[campaign.pk].append(request.holder)
    [account_id] = {campaign.account_id for campaign in campaigns.values()}
    due = _lock_due_calls(Counter(campaign.pk for _, campaign in leased), account_id, now)
    claims: dict[str, Claim] = {}
    for call in due:
        if call.number in claims:
            continue
        campaign = campaigns[call.campaign_id]
        claims[call.number] = Claim(
            attempt_id=holders[campaign.pk].pop(),
            call_id=call.call_id,
            campaign_id=campaign.pk,
            account_id=account_id,
            callee=call.number,
            trunk_id=campaign.caller_id.trunk_id,
            number=call.attempts_made + 1,
        )
    return list(claims.values()), len(due) - len(claims)


def _store(claims: Sequence[Claim], now: datetime) -> Set[UUID]:
    """Store the attempts and move their calls. Returns the ids of the attempts whose number was still free."""
    stored = attempt_states.claim(claims, at=now)
    moves = [
        Move(claim.call_id, Call.Status.IN_PROGRESS, f"attempt {claim.number}", {"next_attempt_at": None})
        for claim in claims
        if claim.attempt_id in stored
    ]
    call_states.move(moves, at=now)
    return stored


def _fail(claim: Claim, error: Exception, now: datetime) -> None:
    """End the call. The tick that ends campaigns closes its campaign where it was the last."""
    reason = f"a fault of this server: {type(error).__name__}"
    end = call_states.end_columns(at=now, reason=reason)
    if call_states.move([Move(claim.call_id, Call.Status.FAILED, reason, end)], at=now):
        campaign = Campaign.objects.get(pk=claim.campaign_id)
        campaign_signals.calls_ended.send(Campaign, campaigns=[campaign], call_ids=[claim.call_id], at=now)


def _lock_due_calls(wanted: Counter[UUID], account_id: int, now: datetime) -> list[DueCall]:
    """Lock due calls, first tries and retries by turns, skipping those that another dispatch has locked.

    Chance decides which kind begins: where one call at a time is dialled, neither keeps the other waiting.

    Args:
        wanted: the most calls of each campaign, all of one account. One that was paused since it asked for leases
            yields none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT due.id, due.campaign_id, due.number, due.attempts_made
            FROM unnest(%(campaigns)s::uuid[], %(places)s::int[]) AS room(campaign_id, places)
            JOIN campaigns_campaign AS campaign ON campaign.id = room.campaign_id AND campaign.status = 'in-progress'
            CROSS JOIN LATERAL (
                SELECT * FROM (
                    SELECT first.*, row_number() OVER (ORDER BY first.id) * 2 - %(lead)s AS turn FROM (
                        SELECT id, campaign_id, number, attempts_made FROM campaigns_call AS call
                        WHERE campaign_id = room.campaign_id AND status = 'created' AND {NUMBER_IS_FREE}
                        ORDER BY next_attempt_at, id LIMIT room.places FOR UPDATE OF call SKIP LOCKED
                    ) AS first
                    UNION ALL
                    SELECT retry.id, retry.campaign_id, retry.number, retry.attempts_made,
                        row_number() OVER (ORDER BY retry.next_attempt_at, retry.id) * 2 - 1 AS turn FROM (
                        SELECT id, campaign_id, number, attempts_made, next_attempt_at FROM campaigns_call AS call
                        WHERE campaign_id = room.campaign_id AND status = 'retrying' AND next_attempt_at <= %(now)s
                            AND {NUMBER_IS_FREE}
                        ORDER BY next_attempt_at, id LIMIT room.places FOR UPDATE OF call SKIP LOCKED
                    ) AS retry
                ) AS both_kinds ORDER BY turn LIMIT room.places
            ) AS due
            """,  # noqa: S608 -- made of constants, and every value is a parameter
            {
                "campaigns": list(wanted),
                "places": list(wanted.values()),
                "account": account_id,
                "now": now,
                "lead": random.choice((0, 2)),  # noqa: S311
            },
        )
        return [DueCall(*row) for row in cursor.fetchall()]
