"""Find an account's due calls and turn them into attempts: gate, leases, claim, messages to the dialers.

Safe to run any number of times at once: the leases are taken in one step, the calls with SKIP LOCKED.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from accounts.models import Account, CallerId
from campaigns import call_states
from campaigns import signals as campaign_signals
from campaigns.models import Call, Campaign
from core import batches, failpoints
from core.state_machine import Move
from dialer import attempt_states, channels, gate, messages, reconciliation, trunk_health
from dialer.attempt_states import Claim
from dialer.channels import Bucket, LeaseRequest, Scope

log = structlog.get_logger(__name__)

T = TypeVar("T")

# The most calls that one run claims; the next run follows at once when it was not enough.
MOST_AT_ONCE = 500

Leased = Sequence[tuple[LeaseRequest, Campaign]]
# Claims due calls for leases and returns the claims with the numbers to dial.
Claiming = Callable[[Leased, datetime], dict[Claim, str]]


@dataclass(frozen=True)
class Ready(Generic[T]):
    """A campaign, and how many of its calls are due now and how many are up."""

    campaign: T
    due: int
    up: int


def dispatch(account_id: int, now: datetime) -> int:
    """Claim as many due calls of the account as there is room for, and enqueue them for dialing. Returns how many."""
    claimed, wait_seconds = batches.together(
        "claim calls",
        lambda: _claim_due(account_id, now, _claim),
        otherwise=lambda: _claim_due(account_id, now, _claim_one_by_one),
    )
    if wait_seconds is not None and wait_seconds < 1:
        messages.enqueue_dispatch_later(account_id, wait_seconds)
    if claimed == MOST_AT_ONCE:
        messages.enqueue_dispatch([account_id])
    return claimed


def _enqueue_dial(claims: dict[Claim, str]) -> None:
    failpoints.reached("claimed")
    messages.enqueue_dial((claim.attempt_id, claim.trunk_id, number) for claim, number in claims.items())
    failpoints.reached("published")


def accounts_at_work() -> list[int]:
    """Return the ids of the accounts that have a campaign in progress."""
    running = Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS)
    return list(running.order_by("account_id").values_list("account_id", flat=True).distinct())


def _claim_due(account_id: int, now: datetime, claim: Claiming) -> tuple[int, float | None]:
    """Return how many calls were claimed, and the seconds until the pace allows the next one where it held one back."""
    try:
        return _lease_and_claim(account_id, now, claim)
    except channels.LeasesLost as lost:
        corrected = reconciliation.rebuild()
        log.warning("leases_rebuilt", because=str(lost), leaked=corrected.leaked, missing=corrected.missing)
        return _lease_and_claim(account_id, now, claim)


def _lease_and_claim(account_id: int, now: datetime, claim: Claiming) -> tuple[int, float | None]:
    with transaction.atomic():
        # Redis is asked inside the transaction, which we avoid elsewhere: the shared lock must be held from the lease
        # to the commit of its attempt. That takes a millisecond, or with Redis away as long as its time-out.
        channels.hold_shared()
        leased, wait_seconds = _lease(*_ready(account_id, now))
        if leased:
            failpoints.reached("leased")
        claims: dict[Claim, str] = {}
        try:
            claims = claim(leased, now)
        finally:
            used = {claim.attempt_id for claim in claims}
            unused = [request for request, _ in leased if request.holder not in used]
            channels.release((request.holder, [scope.key for scope in request.scopes]) for request in unused)
        transaction.on_commit(lambda: _enqueue_dial(claims))
    if claims:
        log.info("calls_claimed", account=account_id, calls=len(claims))
    return len(claims), wait_seconds


def _ready(account_id: int, now: datetime) -> tuple[list[Ready[Campaign]], int]:
    """Return the campaigns that may dial now, and how many channels of the account are free."""
    ready, up = [], 0
    for due in _due_campaigns(account_id, now):
        up += due.up
        verdict = gate.check(due.campaign, now) if due.due else None
        if isinstance(verdict, gate.Open):
            tries = verdict.on_trial and trunk_health.may_try(due.campaign.caller_id.trunk_id, now)
            ready.append(Ready(due.campaign, int(tries) if verdict.on_trial else due.due, due.up))
    free = ready[0].campaign.account.channels - up if ready else 0
    return ready, min(free, MOST_AT_ONCE)


def _lease(ready: list[Ready[Campaign]], free: int) -> tuple[list[tuple[LeaseRequest, Campaign]], float | None]:
    """Lease for up to `free` calls, the campaigns taking turns. Returns also the seconds until the pace allows another.

    A campaign that is held back by a limit of its own (its throttle, its caller ID, its trunk) leaves its turns to the
    others: they are asked again without it.
    """
    limits = cache(_limits)
    leased: list[tuple[LeaseRequest, Campaign]] = []
    waits = []
    while free > 0 and ready:
        asked = [(LeaseRequest(uuid7(), *limits(campaign)), campaign) for campaign in take_turns(ready, free)]
        granted = channels.lease([request for request, _ in asked])
        got = [(request, campaign) for request, campaign in asked if request.holder in granted.holders]
        leased += got
        if granted.wait_seconds is not None:
            waits.append(granted.wait_seconds)
        refused = {campaign.pk for request, campaign in asked if request.holder not in granted.holders}
        if not refused:
            break
        ready = _without(refused, ready, Counter(campaign.pk for _, campaign in got))
        free -= len(got)
    return leased, min(waits, default=None)


def _without(refused: Set[UUID], ready: list[Ready[Campaign]], leased: Counter[UUID]) -> list[Ready[Campaign]]:
    """Return the campaigns that were refused nothing, with their new leases counted as calls that are up."""
    return [
        Ready(row.campaign, row.due - leased[row.campaign.pk], row.up + leased[row.campaign.pk])
        for row in ready
        if row.campaign.pk not in refused
    ]


def _limits(campaign: Campaign) -> tuple[tuple[Scope, ...], tuple[Bucket, ...]]:
    return channels.scopes_of(campaign), channels.buckets_of(campaign)


def take_turns(ready: Sequence[Ready[T]], places: int) -> Iterator[T]:
    """Give out `places` one by one, each to the campaign with the fewest calls up that still has some due.

    Equal shares in the end: a campaign of a hundred calls is not kept waiting by one of a hundred thousand.
    """
    queue = [(row.up, order, row.due, row.campaign) for order, row in enumerate(ready) if row.due > 0]
    heapq.heapify(queue)
    while queue and places > 0:
        up, order, due, campaign = heapq.heappop(queue)
        yield campaign
        places -= 1
        if due > 1:
            heapq.heappush(queue, (up + 1, order + len(ready), due - 1, campaign))


def _due_campaigns(account_id: int, now: datetime) -> list[Ready[Campaign]]:
    """Return the account's campaigns in progress. Due calls are counted up to MOST_AT_ONCE: a million cost no more."""
    campaigns: list[Any] = list(Campaign.objects.raw(_DUE, {"account": account_id, "now": now, "most": MOST_AT_ONCE}))
    _share(account_id, campaigns)
    # Chance decides between campaigns with equally many calls up, so that a pace of one start a second is shared too.
    random.shuffle(campaigns)
    return [Ready(campaign, campaign.due, campaign.up) for campaign in campaigns]


# Columns of the campaign: what the gate reads of one in progress, and what its limits are made of.
_DUE = """
    SELECT campaign.id, account_id, caller_id_id, status, expires_at, mode, throttle,
        (SELECT count(*) FROM (SELECT 1 FROM campaigns_call WHERE campaign_id = campaign.id
            AND status = 'created' LIMIT %(most)s) AS first_tries)
      + (SELECT count(*) FROM (SELECT 1 FROM campaigns_call WHERE campaign_id = campaign.id
            AND status = 'retrying' AND next_attempt_at <= %(now)s LIMIT %(most)s) AS retries) AS due,
        (SELECT count(*) FROM campaigns_call WHERE campaign_id = campaign.id AND status = 'in-progress') AS up
    FROM campaigns_campaign AS campaign
    WHERE campaign.account_id = %(account)s AND campaign.status = 'in-progress'
"""


def _share(account_id: int, campaigns: Sequence[Campaign]) -> None:
    """Give the campaigns their account and caller IDs: what a thousand of them have in common is loaded once."""
    if not campaigns:
        return
    account = Account.objects.get(pk=account_id)
    shared = {campaign.caller_id_id for campaign in campaigns}
    caller_ids = CallerId.objects.select_related("trunk__health").in_bulk(shared)
    for campaign in campaigns:
        campaign.account, campaign.caller_id = account, caller_ids[campaign.caller_id_id]


def _claim(leased: Leased, now: datetime) -> dict[Claim, str]:
    """Claim a due call for each lease where there is one. Returns the claims with the numbers to dial."""
    claims = _match(leased, now)
    if claims:
        _store(list(claims), now)
    return claims


def _claim_one_by_one(leased: Leased, now: datetime) -> dict[Claim, str]:
    """Do the same call by call: one that can't be claimed fails, and says why."""
    matched = _match(leased, now)

    def store(claim: Claim) -> str:
        _store([claim], now)
        return matched[claim]

    return batches.one_by_one("claim calls", matched, store, give_up=lambda claim, error: _fail(claim, error, now))


def _match(leased: Leased, now: datetime) -> dict[Claim, str]:
    """Lock a due call for each lease where there is one. Returns the claims with the numbers to dial."""
    holders: dict[UUID, list[UUID]] = {}
    trunks = {campaign.pk: campaign.caller_id.trunk_id for _, campaign in leased}
    for request, campaign in leased:
        holders.setdefault(campaign.pk, []).append(request.holder)
    wanted = Counter(campaign.pk for _, campaign in leased)
    claims = {}
    for call_id, campaign_id, number, attempts_made in _lock_due_calls(wanted, now):
        attempt_id = holders[campaign_id].pop()
        claims[Claim(attempt_id, call_id, campaign_id, trunks[campaign_id], attempts_made + 1)] = number
    return claims


def _store(claims: Sequence[Claim], now: datetime) -> None:
    moves = [
        Move(claim.call_id, Call.Status.IN_PROGRESS, f"attempt {claim.number}", {"next_attempt_at": None})
        for claim in claims
    ]
    call_states.move(moves, at=now)
    attempt_states.claim(claims, at=now)


def _fail(claim: Claim, error: Exception, now: datetime) -> None:
    """End the call. The tick that ends campaigns closes its campaign where it was the last."""
    reason = f"a fault of this server: {type(error).__name__}"
    end = call_states.end_columns(at=now, reason=reason)
    if call_states.move([Move(claim.call_id, Call.Status.FAILED, reason, end)], at=now):
        call = Call.objects.select_related("campaign").get(pk=claim.call_id)
        campaign_signals.calls_ended.send(Campaign, campaigns=[call.campaign], calls=[call])


def _lock_due_calls(wanted: Counter[UUID], now: datetime) -> list[tuple[int, UUID, str, int]]:
    """Lock due calls, first tries and retries by turns, skipping those that another dispatch has locked.

    Args:
        wanted: the most calls of each campaign. One that was paused since it asked for leases yields none.

    Returns:
        Of each call its id, its campaign's id, its number and the attempts made.
    """
    if not wanted:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT due.id, due.campaign_id, due.number, due.attempts_made
            FROM unnest(%(campaigns)s::uuid[], %(places)s::int[]) AS room(campaign_id, places)
            JOIN campaigns_campaign AS campaign ON campaign.id = room.campaign_id AND campaign.status = 'in-progress'
            CROSS JOIN LATERAL (
                SELECT * FROM (
                    SELECT first.*, row_number() OVER (ORDER BY first.id) * 2 AS turn FROM (
                        SELECT id, campaign_id, number, attempts_made FROM campaigns_call
                        WHERE campaign_id = room.campaign_id AND status = 'created'
                        ORDER BY next_attempt_at, id LIMIT room.places FOR UPDATE SKIP LOCKED
                    ) AS first
                    UNION ALL
                    SELECT retry.id, retry.campaign_id, retry.number, retry.attempts_made,
                        row_number() OVER (ORDER BY retry.next_attempt_at, retry.id) * 2 - 1 AS turn FROM (
                        SELECT id, campaign_id, number, attempts_made, next_attempt_at FROM campaigns_call
                        WHERE campaign_id = room.campaign_id AND status = 'retrying' AND next_attempt_at <= %(now)s
                        ORDER BY next_attempt_at, id LIMIT room.places FOR UPDATE SKIP LOCKED
                    ) AS retry
                ) AS both_kinds ORDER BY turn LIMIT room.places
            ) AS due
            """,
            {"campaigns": list(wanted), "places": list(wanted.values()), "now": now},
        )
        return list(cursor.fetchall())
