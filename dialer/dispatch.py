"""Finds an account's calls that are due and turns them into attempts: gate, leases, claim, doorbell of the dialers.

Safe to run any number of times at once: the leases are taken in one step, the calls with SKIP LOCKED.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from campaigns import call_states
from campaigns.models import Call, Campaign
from campaigns.state_machine import Move
from dialer import attempt_states, channels, doorbells, gate
from dialer.attempt_states import Claim
from dialer.channels import Granted, Wish

log = structlog.get_logger(__name__)

T = TypeVar("T")

# The most calls that one run claims; the next run follows at once when it was not enough.
MOST_AT_ONCE = 500


@dataclass(frozen=True)
class DueCampaign:
    """A campaign in progress with calls to dial now: due of them at the most, live of its calls being up."""

    campaign: Campaign
    due: int
    live: int


def dispatch(account_id: int, now: datetime) -> int:
    """Claims as many due calls of the account as there is room for, and rings the dialers; answers how many."""
    try:
        claimed, granted = _claim_due(account_id, now)
    except channels.LeasesLost as lost:
        repaired = channels.restore()
        log.warning("leases_restored", because=str(lost), leaked=repaired.leaked, missing=repaired.missing)
        claimed, granted = _claim_due(account_id, now)
    if granted.wait_seconds is not None and granted.wait_seconds < 1:
        doorbells.ring_dispatch_later(account_id, granted.wait_seconds)
    if claimed == MOST_AT_ONCE:
        doorbells.ring_dispatch([account_id])
    return claimed


def accounts_at_work() -> list[int]:
    """The accounts that have a campaign in progress."""
    running = Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS)
    return list(running.order_by("account_id").values_list("account_id", flat=True).distinct())


def _claim_due(account_id: int, now: datetime) -> tuple[int, Granted]:
    with transaction.atomic():
        # Redis is asked inside the transaction, against the habit: the shared lock must be held from the lease to the
        # commit of its attempt. It costs the lock some hundred microseconds.
        channels.hold_shared()
        wishes = _wishes(account_id, now)
        granted = channels.lease([wish for wish, _ in wishes])
        leased = [(wish, campaign) for wish, campaign in wishes if wish.holder in granted.holders]
        unused = leased
        try:
            claims, numbers = _claim(leased, now)
            unused = [(wish, campaign) for wish, campaign in leased if wish.holder not in numbers]
            transaction.on_commit(lambda: doorbells.ring_dial(numbers))
        finally:
            channels.release((wish.holder, [scope.key for scope in wish.scopes]) for wish, _ in unused)
    if claims:
        log.info("calls_claimed", account=account_id, calls=len(claims))
    return len(claims), granted


def _wishes(account_id: int, now: datetime) -> list[tuple[Wish, Campaign]]:
    """A wish for each call that may be dialled now, the campaigns taking turns (those with fewer calls up first)."""
    ready, live = [], 0
    for due in _due_campaigns(account_id, now):
        live += due.live
        verdict = gate.check(due.campaign, now) if due.due else None
        if isinstance(verdict, gate.Open):
            room = max(0, 1 - due.live) if verdict.one_at_a_time else due.due
            ready.append((due.campaign, min(room, due.due), due.live))
    if not ready:
        return []
    free = min(ready[0][0].account.channels - live, MOST_AT_ONCE)
    return [
        (Wish(uuid7(), channels.scopes_of(campaign), channels.buckets_of(campaign)), campaign)
        for campaign in take_turns(ready, free)
    ]


def take_turns(ready: Sequence[tuple[T, int, int]], places: int) -> Iterator[T]:
    """Gives `places` out one by one, each to the campaign that has the fewest calls up and still has some due.

    ready holds (campaign, calls due, calls up). Equal shares in the end: a campaign of a hundred calls is not kept
    waiting by one of a hundred thousand.
    """
    queue = [(up, order, due, campaign) for order, (campaign, due, up) in enumerate(ready) if due > 0]
    heapq.heapify(queue)
    while queue and places > 0:
        up, order, due, campaign = heapq.heappop(queue)
        yield campaign
        places -= 1
        if due > 1:
            heapq.heappush(queue, (up + 1, order + len(ready), due - 1, campaign))


def _due_campaigns(account_id: int, now: datetime) -> list[DueCampaign]:
    """The account's campaigns in progress. Counts stop at MOST_AT_ONCE, so a million waiting calls cost no more."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT campaign.id,
                (SELECT count(*) FROM (SELECT 1 FROM campaigns_call WHERE campaign_id = campaign.id
                    AND status = 'created' LIMIT %(most)s) AS first_tries)
              + (SELECT count(*) FROM (SELECT 1 FROM campaigns_call WHERE campaign_id = campaign.id
                    AND status = 'retrying' AND next_attempt_at <= %(now)s LIMIT %(most)s) AS retries),
                (SELECT count(*) FROM campaigns_call WHERE campaign_id = campaign.id AND status = 'in-progress')
            FROM campaigns_campaign AS campaign
            WHERE campaign.account_id = %(account)s AND campaign.status = 'in-progress'
            """,
            {"account": account_id, "now": now, "most": MOST_AT_ONCE},
        )
        counts = {row[0]: row[1:] for row in cursor.fetchall()}
    campaigns = Campaign.objects.select_related("account", "caller_id__trunk__health").in_bulk(list(counts))
    due = [DueCampaign(campaign, *counts[pk]) for pk, campaign in campaigns.items()]
    # Between campaigns with equally many calls up chance decides, so that a pace of one start a second is shared too.
    random.shuffle(due)
    return due


def _claim(leased: Sequence[tuple[Wish, Campaign]], now: datetime) -> tuple[list[Claim], dict[UUID, str]]:
    """Claims a due call for each lease where there is one; answers the claims, and their numbers by attempt id."""
    holders: dict[UUID, list[UUID]] = {}
    campaigns = {campaign.pk: campaign for _, campaign in leased}
    for wish, campaign in leased:
        holders.setdefault(campaign.pk, []).append(wish.holder)
    claims, numbers = [], {}
    for call_id, campaign_id, number, attempts_made in _lock_due_calls(Counter(c.pk for _, c in leased), now):
        attempt_id = holders[campaign_id].pop()
        trunk_id = campaigns[campaign_id].caller_id.trunk_id
        claims.append(Claim(attempt_id, call_id, campaign_id, trunk_id, attempts_made + 1))
        numbers[attempt_id] = number
    if claims:
        moves = [
            Move(claim.call_id, Call.Status.IN_PROGRESS, f"attempt {claim.number}", {"next_attempt_at": None})
            for claim in claims
        ]
        call_states.move(moves, at=now)
        attempt_states.claim(claims, at=now)
    return claims, numbers


def _lock_due_calls(wanted: Counter[UUID], now: datetime) -> list[tuple[int, UUID, str, int]]:
    """Locks up to so many due calls of each campaign, first tries and retries by turns, skipping what others hold.

    A campaign that was paused since its wish was made yields none.
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
