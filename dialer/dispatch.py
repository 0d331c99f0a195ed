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
from django.db import transaction
from uuid_utils.compat import uuid7

from accounts.models import Account, CallerId
from campaigns.models import Campaign
from core import batches, failpoints
from dialer import channels, claiming, gate, messages, reconciliation, rests
from dialer.attempt_states import Claim
from dialer.channels import Bucket, LeaseRequest, Scope
from dialer.claiming import NUMBER_IS_FREE, Claimed, Leased
from dialer.models import CallerIdHealth, TrunkHealth

log = structlog.get_logger(__name__)

T = TypeVar("T")

# The most calls that one run claims; the next run follows at once when it was not enough.
MOST_AT_ONCE = 500

Claiming = Callable[[Leased, datetime], Claimed]


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
        lambda: _claim_due(account_id, now, claiming.claim),
        otherwise=lambda: _claim_due(account_id, now, claiming.claim_one_by_one),
    )
    if wait_seconds is not None and wait_seconds < 1:
        messages.enqueue_dispatch_later(account_id, wait_seconds)
    # Calls that were passed over left their places to others, which the next run finds.
    if len(claimed.claims) == MOST_AT_ONCE or claimed.passed_over:
        messages.enqueue_dispatch([account_id])
    return len(claimed.claims)


def _enqueue_dial(claims: Sequence[Claim]) -> None:
    failpoints.reached("claimed")
    messages.enqueue_dial((claim.attempt_id, claim.trunk_id, claim.callee) for claim in claims)
    failpoints.reached("published")


def accounts_at_work() -> list[int]:
    """Return the ids of the accounts that have a campaign in progress."""
    running = Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS)
    return list(running.order_by("account_id").values_list("account_id", flat=True).distinct())


def _claim_due(account_id: int, now: datetime, claim: Claiming) -> tuple[Claimed, float | None]:
    """Return what was claimed, and the seconds until the pace allows the next call where it held one back."""
    try:
        return _lease_and_claim(account_id, now, claim)
    except channels.LeasesLost as lost:
        corrected = reconciliation.rebuild()
        log.warning("leases_rebuilt", because=str(lost), leaked=corrected.leaked, missing=corrected.missing)
        return _lease_and_claim(account_id, now, claim)


def _lease_and_claim(account_id: int, now: datetime, claim: Claiming) -> tuple[Claimed, float | None]:
    with transaction.atomic():
        # Redis is asked inside the transaction, which we avoid elsewhere: the shared lock must be held from the lease
        # to the commit of its attempt. That takes a millisecond, or with Redis away as long as its time-out.
        channels.hold_shared()
        leased, wait_seconds = _lease(*_ready(account_id, now))
        if leased:
            failpoints.reached("leased")
        claimed = Claimed(())
        try:
            claimed = claim(leased, now)
        finally:
            used = {attempt.attempt_id for attempt in claimed.claims}
            channels.give_back([request for request, _ in leased if request.holder not in used])
        transaction.on_commit(lambda: _enqueue_dial(claimed.claims))
    if claimed.claims:
        log.info("calls_claimed", account=account_id, calls=len(claimed.claims))
    return claimed, wait_seconds


def _ready(account_id: int, now: datetime) -> tuple[list[Ready[Campaign]], int]:
    """Return the campaigns that may dial now, and how many channels of the account are free."""
    ready, up = [], 0
    for due in _due_campaigns(account_id, now):
        up += due.up
        verdict = gate.check(due.campaign, now) if due.due else None
        if isinstance(verdict, gate.Open):
            may_dial = int(_may_try(due.campaign, now)) if verdict.on_trial else due.due
            ready.append(Ready(due.campaign, may_dial, due.up))
    free = ready[0].campaign.account.channels - up if ready else 0
    return ready, min(free, MOST_AT_ONCE)


def _may_try(campaign: Campaign, now: datetime) -> bool:
    """Tell whether a call of the campaign may try its caller ID and its trunk, of which one has failed lately."""
    own, shared = gate.caller_id_health(campaign), gate.trunk_health(campaign)
    if own and own.failures and not rests.may_try(CallerIdHealth.objects.filter(pk=own.pk), now):
        return False
    return not (shared and shared.failures) or rests.may_try(TrunkHealth.objects.filter(pk=shared.pk), now)


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

    Equal shares in the end: a campaign of a hundred calls does not wait for one of a hundred thousand.
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


# Columns of the campaign: what the gate reads of one in progress, and what its limits are made of. Numbers are counted,
# not calls: of several calls to one number only one can be dialed now, and a lease for another would be wasted.
_DUE = f"""
    SELECT campaign.id, account_id, caller_id_id, status, expires_at, mode, throttle,
        (SELECT count(DISTINCT number) FROM (SELECT call.number FROM campaigns_call AS call
            WHERE call.campaign_id = campaign.id AND call.status = 'created' AND {NUMBER_IS_FREE}
            LIMIT %(most)s) AS first_tries)
      + (SELECT count(DISTINCT number) FROM (SELECT call.number FROM campaigns_call AS call
            WHERE call.campaign_id = campaign.id AND call.status = 'retrying' AND call.next_attempt_at <= %(now)s
            AND {NUMBER_IS_FREE} LIMIT %(most)s) AS retries) AS due,
        (SELECT count(*) FROM campaigns_call WHERE campaign_id = campaign.id AND status = 'in-progress') AS up
    FROM campaigns_campaign AS campaign
    WHERE campaign.account_id = %(account)s AND campaign.status = 'in-progress'
"""  # noqa: S608 -- made of constants, and every value is a parameter


def _share(account_id: int, campaigns: Sequence[Campaign]) -> None:
    """Give the campaigns their account and caller IDs: what a thousand of them have in common is loaded once."""
    if not campaigns:
        return
    account = Account.objects.get(pk=account_id)
    shared = {campaign.caller_id_id for campaign in campaigns}
    caller_ids = CallerId.objects.select_related("trunk__health", "health").in_bulk(shared)
    for campaign in campaigns:
        campaign.account, campaign.caller_id = account, caller_ids[campaign.caller_id_id]
