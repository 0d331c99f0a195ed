"""Claim due calls for leases: lock them, store their attempts, and move them to in-progress.

An account has at most one attempt under way for a number, over all its campaigns, caller IDs and lists. Other calls to
that number are passed over: they stay due at no cost, and are dialed when the attempt under way has ended. Calls whose
number must not be dialed now (`number_gate`) are held until it may, and others are looked for in their place.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple, Protocol
from uuid import UUID

from django.db import connection

from campaigns import call_states, held_calls
from campaigns import signals as campaign_signals
from campaigns.held_calls import Hold
from campaigns.models import Call, Campaign
from contacts import callees, zones
from core import batches
from core.state_machine import Move
from dialer import attempt_states, number_gate
from dialer.attempt_states import Claim
from dialer.channels import LeaseRequest
from dialer.gate import Never, NotBefore
from dialer.number_gate import Asked, Ring, Shut

# The most calls that one run looks at, and how many at once beyond those that it has leases for, where calls turn out
# to be held: a campaign of which the first million may not be dialed now must not keep the others waiting.
MOST_LOOKED_AT = 2_000
LOOKED_AT_ONCE = 500


class Dialed(number_gate.Listed, Protocol):
    """The campaign of a lease."""

    @property
    def account_id(self) -> int: ...


Leased = Sequence[tuple[LeaseRequest, Dialed]]

# Of a row `call` whether no attempt of the account %(account)s is under way for its number.
NUMBER_IS_FREE = """NOT EXISTS (
    SELECT FROM dialer_callattempt AS under_way
    WHERE under_way.account_id = %(account)s AND under_way.callee = call.number
        AND under_way.status IN ('claimed', 'placing', 'in-progress', 'unknown'))"""

# Of a row `call` that it is due, by kinds: first tries, those whose hold has ended, retries.
DUE = (
    "status = 'created' AND next_attempt_at IS NULL",
    "status = 'created' AND next_attempt_at <= %(now)s",
    "status = 'retrying' AND next_attempt_at <= %(now)s",
)


@dataclass(frozen=True)
class Claimed:
    """What was claimed, and how many leases found no call because those that were due turned out not to be free."""

    claims: Sequence[Claim]
    passed_over: int = 0


@dataclass
class _Matching:
    """Leases and the due calls that they have found, one for each number."""

    campaigns: dict[UUID, Dialed]
    holders: dict[UUID, list[UUID]]
    claims: dict[str, Claim] = field(default_factory=dict)
    passed_over: int = 0
    looked_at: list[int] = field(default_factory=list)

    @property
    def left(self) -> Counter[UUID]:
        """Return how many leases of each campaign have no call yet."""
        return Counter({pk: len(holders) for pk, holders in self.holders.items() if holders})

    def take(self, due: "Sequence[DueCall]") -> None:
        for call in due:
            if not self.holders[call.campaign_id]:
                continue
            if call.number in self.claims:
                self.passed_over += 1
                continue
            campaign = self.campaigns[call.campaign_id]
            self.claims[call.number] = Claim(
                attempt_id=self.holders[campaign.pk].pop(),
                call_id=call.call_id,
                campaign_id=campaign.pk,
                account_id=campaign.account_id,
                callee=call.number,
                trunk_id=campaign.caller_id.trunk_id,
                number=call.attempts_made + 1,
            )


class DueCall(NamedTuple):
    """A due call that this transaction has locked, with what the same statement has looked up of its number.

    Attributes:
        may_be_listed, was_called_lately, may_be_connected: as of `number_gate.Ring`.
        time_zone, consent_date, consent_scope: of the contact; None where there is none.
    """

    call_id: int
    campaign_id: UUID
    number: str
    attempts_made: int
    row_zone: str
    may_be_listed: bool
    was_called_lately: bool
    may_be_connected: bool
    time_zone: str | None
    consent_date: date | None
    consent_scope: str | None

    def ring(self, campaign: Dialed) -> Ring[int]:
        callee = callees.of(self.time_zone, self.consent_date, self.consent_scope)
        looked_up = (self.may_be_listed, self.was_called_lately, self.may_be_connected, callee)
        return Ring(self.call_id, campaign, self.number, self.row_zone, "", *looked_up)


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
    """Lock a due call for each lease where there is one. Returns their claims, one per number, and the rest's count.

    Calls that must not be dialed now are set aside, and others are looked at: as many as there are leases at first.
    """
    if not leased:
        return [], 0
    matching = _Matching({campaign.pk: campaign for _, campaign in leased}, defaultdict(list))
    for request, campaign in leased:
        matching.holders[campaign.pk].append(request.holder)
    wanted = matching.left
    while wanted:
        due = _lock_due_calls(wanted, matching, now)
        matching.looked_at += [call.call_id for call in due]
        shut = _set_aside(due, matching.campaigns, now)
        matching.take([call for call in due if call.call_id not in shut])
        wanted = Counter()
        if shut and len(matching.looked_at) < MOST_LOOKED_AT:
            left = matching.left
            wanted = Counter({pk: max(places, LOOKED_AT_ONCE // len(left)) for pk, places in left.items()})
    return list(matching.claims.values()), matching.passed_over + (matching.left.total() if shut else 0)


def _set_aside(due: "Sequence[DueCall]", campaigns: Mapping[UUID, Dialed], now: datetime) -> Mapping[int, Shut]:
    """Hold or end those of the calls that must not be dialed now. Returns why, by their ids."""
    shut = number_gate.check([call.ring(campaigns[call.campaign_id]) for call in due], now)
    if shut:
        holds, ends = [], []
        for call in due:
            match shut.get(call.call_id):
                case NotBefore(at, code):
                    holds.append(Hold(call.call_id, at or now + number_gate.ASKED_AGAIN, code))
                case Never() as never:
                    ends.append((call.call_id, call.campaign_id, never))
        held_calls.hold(holds)
        _end(ends, now)
    return shut


def _store(claims: Sequence[Claim], now: datetime) -> Set[UUID]:
    """Store the attempts and move their calls. Returns the ids of the attempts whose number was still free."""
    stored = attempt_states.claim(claims, at=now)
    moves = [
        Move(claim.call_id, Call.Status.IN_PROGRESS, f"attempt {claim.number}", {"next_attempt_at": None, "rule": ""})
        for claim in claims
        if claim.attempt_id in stored
    ]
    call_states.move(moves, at=now)
    return stored


def _fail(claim: Claim, error: Exception, now: datetime) -> None:
    _end([(claim.call_id, claim.campaign_id, Never("", f"a fault of this server: {type(error).__name__}"))], now)


def _end(ends: Sequence[tuple[int, UUID, Never]], now: datetime) -> None:
    """End calls that must never be dialed. The tick that ends campaigns closes those of which they were the last."""
    moves = []
    for call_id, _, never in ends:
        end = call_states.end_columns(at=now, reason=never.because, rule=never.code)
        moves.append(Move(call_id, Call.Status.FAILED, never.because, end))
    if moved := call_states.move(moves, at=now):
        campaigns = list(Campaign.objects.filter(pk__in={campaign_id for _, campaign_id, _ in ends}))
        campaign_signals.calls_ended.send(Campaign, campaigns=campaigns, call_ids=sorted(moved), at=now)


def _lock_due_calls(wanted: Counter[UUID], matching: _Matching, now: datetime) -> list[DueCall]:
    """Lock due calls by turns: first tries, those whose hold has ended, retries. Skips those that others have locked.

    Chance decides which kind begins: where one call at a time is dialled, none keeps the others waiting.

    Args:
        wanted: the most calls of each campaign, all of one account. One that was paused since it asked for leases
            yields none.
    """
    turns = tuple(random.sample(range(len(DUE)), len(DUE)))
    campaigns = [matching.campaigns[pk] for pk in wanted]
    asked = number_gate.asked_of(campaigns)
    with connection.cursor() as cursor:
        cursor.execute(
            _lock_sql(asked, _kinds(turns, is_one=max(wanted.values()) == 1, again=bool(matching.looked_at))),
            {
                "campaigns": list(wanted),
                "places": list(wanted.values()),
                "account": campaigns[0].account_id,
                "looked_at": matching.looked_at,
                "now": now,
            },
        )
        return [DueCall(*row) for row in cursor.fetchall()]


@lru_cache
def _kinds(turns: Sequence[int], *, is_one: bool, again: bool) -> str:
    """Return the query of the due calls of a row `room`. Each kind is a range of the index `call_open`, in its order.

    Args:
        turns: the place of each kind of DUE.
        is_one: no campaign has more than one place. Then the first kind that has a call gives it, and the others are
            not looked at.
        again: leave out the calls that were looked at.
    """
    left_out = "AND id <> ALL(%(looked_at)s::bigint[])" if again else ""
    rank = "" if is_one else ", row_number() OVER (ORDER BY next_attempt_at, id) AS rank"
    kinds = [
        f"""
        SELECT kind.*, {place} AS place{rank} FROM (
            SELECT id, campaign_id, number, attempts_made, coalesce(variables ->> '{zones.COLUMN}', '') AS row_zone,
                next_attempt_at
            FROM campaigns_call AS call
            WHERE campaign_id = room.campaign_id AND {is_due} AND {NUMBER_IS_FREE} {left_out}
            ORDER BY next_attempt_at, id LIMIT room.places FOR UPDATE OF call SKIP LOCKED
        ) AS kind
        """  # noqa: S608 -- made of constants, and every value is a parameter
        for place, is_due in sorted(zip(turns, DUE, strict=True))
    ]
    order = "" if is_one else "ORDER BY rank, place"
    return f"SELECT * FROM ({' UNION ALL '.join(kinds)}) AS kinds {order} LIMIT room.places"  # noqa: S608


@lru_cache
def _lock_sql(asked: Asked, kinds: str) -> str:
    """Return the statement that locks due calls: those of the query `kinds` for each campaign.

    Of their numbers it looks up what the gate asks.
    """
    columns, join = number_gate.looked_up(asked)
    return f"""
        SELECT due.id, due.campaign_id, due.number, due.attempts_made, due.row_zone, {columns}
        FROM unnest(%(campaigns)s::uuid[], %(places)s::int[]) AS room(campaign_id, places)
        JOIN campaigns_campaign AS campaign ON campaign.id = room.campaign_id AND campaign.status = 'in-progress'
        CROSS JOIN LATERAL (SELECT *, %(account)s::bigint AS account_id FROM ({kinds}) AS kinds) AS due
        {join}
    """  # noqa: S608
