"""Find an account's due calls and turn them into attempts: gate, leases, claim, messages to the dialers.

Safe to run any number of times at once: one run works for an account, and others leave it alone. The leases are taken
in one step, the calls with SKIP LOCKED, so that even two runs would claim each call once.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from uuid_utils.compat import uuid7

from accounts.models import Account
from campaigns import idle
from contacts.do_not_call import HAS_LIST
from core import batches, failpoints, lazy_commits
from dialer import (
    calls_up,
    channels,
    claiming,
    daily_limits,
    due_campaigns,
    gate,
    holds,
    messages,
    reconciliation,
    restores,
)
from dialer.attempt_states import Claim
from dialer.channels import LeaseRequest
from dialer.claiming import Claimed, Leased
from dialer.due_campaigns import DueCampaign, Found
from dialer.under_way import HAS_LEGS

log = structlog.get_logger(__name__)

# The most calls that one run claims; the next run follows at once when it was not enough.
MOST_AT_ONCE = 500
# How soon a run comes again that found another one at work for its account, in seconds. That one may have looked before
# the calls were due that this one was sent for.
AGAIN_SECONDS = 0.05
# When campaigns are looked at again of which all due calls wait for other calls to their numbers, in an account with so
# many campaigns that they would stand in the way of the others.
PASSED_OVER = timedelta(seconds=1)

# Locks of the accounts that are dispatched: a number of our own beside the account's id.
LOCK = 0x64697370

Claiming = Callable[[Leased, datetime], Claimed]


@dataclass(frozen=True)
class Run:
    """What one run has claimed and found. next_start: seconds until the pace allows a call that it held back."""

    claimed: Claimed = field(default_factory=lambda: Claimed(()))
    next_start: float | None = None
    found: Found = field(default_factory=Found)


def dispatch(account_id: int, now: datetime, most: int | None = None) -> int:
    """Claim as many due calls of the account as there is room for, and enqueue them for dialing. Returns how many.

    Args:
        most: calls to claim; None for MOST_AT_ONCE.
    """
    most = most or MOST_AT_ONCE
    if not restores.may_dial(now):
        return 0
    run = batches.together(
        "claim calls",
        lambda: _claim_due(account_id, now, most, claiming.claim),
        otherwise=lambda: _claim_due(account_id, now, most, claiming.claim_one_by_one),
    )
    _note_idle(run.found, now)
    if run.next_start is not None and run.next_start < 1:
        messages.enqueue_dispatch_later(account_id, run.next_start)
    # Calls that were passed over left their places to others, which the next run finds. A run that claimed nothing
    # leaves the rest to the tick, so that an account whose calls are all held back keeps no worker busy.
    claims = len(run.claimed.claims)
    if claims == most or run.claimed.passed_over or (claims and run.found.has_more):
        messages.enqueue_dispatch([account_id])
    return claims


def _claim_due(account_id: int, now: datetime, most: int, claim: Claiming) -> Run:
    try:
        return _run(account_id, now, most, claim)
    except channels.LeasesLost as lost:
        corrected = reconciliation.rebuild()
        log.warning("leases_rebuilt", because=str(lost), leaked=corrected.leaked, missing=corrected.missing)
        return _run(account_id, now, most, claim)


def _run(account_id: int, now: datetime, most: int, claim: Claiming) -> Run:
    """Look first whether the account may dial, has a channel and may start a call: most runs end there."""
    with transaction.atomic():
        account, is_ours = _take(account_id)
        if not is_ours:
            return Run(next_start=AGAIN_SECONDS)
        if not gate.account_may_dial(account, now):
            return Run()
        scope, bucket = channels.account_scope(account), channels.account_bucket(account)
        room, asked_at = channels.room([scope], [bucket]), time.monotonic()
        free, pace = room.free[scope], room.paces[bucket]
        if free <= 0 or not pace.starts:
            return Run(next_start=pace.wait_after(0) if free > 0 else None)
        left = daily_limits.calls_left(account, now)
        if left == 0:
            return Run()
        places = min(free, pace.starts, most, *(() if left is None else (left,)))
        turn = due_campaigns.turn_of(account_id)
        found = due_campaigns.look(account, places, turn, now)
        due_campaigns.keep_turn(account_id, turn, found)
        claimed = _lease_and_claim(found.plan, now, claim)
        waits = list(found.waits)
        if places == pace.starts < free and len(found.plan) == places:
            waits.append(max(0.0, pace.wait_after(places) - (time.monotonic() - asked_at)))
    return Run(claimed, min(waits, default=None), found)


def _take(account_id: int) -> tuple[Account, bool]:
    """Return the account, and whether this run has it to itself until the end of the transaction.

    It commits without waiting for the disk: claims that a crash takes back are made again (decision 0069).
    """
    [account] = Account.objects.raw(_TAKE, {"lock": LOCK, "account": account_id})
    return account, account.is_ours  # type: ignore[attr-defined]


_TAKE = f"""
    SELECT id, sid, is_active, time_zone, opens_at, closes_at, weekly_hours, holidays_of, closed_on,
        rules, number_caps, number_gap_seconds, channels, starts_per_minute, daily_calls, daily_minutes,
        region, allowed_countries, allowed_kinds,
        pg_try_advisory_xact_lock(%(lock)s, (id %% 2147483647)::int) AS is_ours, {HAS_LIST} AS has_list,
        {HAS_LEGS} AS has_legs,
        {holds.COLUMN} AS held, {lazy_commits.ALLOWED} AS is_lazy
    FROM accounts_account AS account WHERE id = %(account)s
"""  # noqa: S608 -- made of constants, and every value is a parameter


def _lease_and_claim(plan: Sequence[DueCampaign], now: datetime, claim: Claiming) -> Claimed:
    """Take leases for the plan, as far as there still is room, and claim a call for each."""
    if not plan:
        return Claimed(())
    # Redis is asked inside the transaction, which we avoid elsewhere: the shared lock must be held from the lease to
    # the commit of its attempt.
    channels.hold_shared()
    account, caller_ids = plan[0].account, {campaign.caller_id.pk: campaign.caller_id for campaign in plan}
    scopes = {pk: channels.scopes_of(account, caller_id) for pk, caller_id in caller_ids.items()}
    pace = channels.account_bucket(account)
    asked = [
        (LeaseRequest(uuid7(), scopes[campaign.caller_id.pk], (pace, *campaign.own_bucket)), campaign)
        for campaign in plan
    ]
    granted = channels.lease([request for request, _ in asked])
    leased = [(request, campaign) for request, campaign in asked if request.holder in granted.holders]
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
        log.info("calls_claimed", account=plan[0].account_id, calls=len(claimed.claims))
    return claimed


def _enqueue_dial(claims: Sequence[Claim]) -> None:
    failpoints.reached("claimed")
    messages.enqueue_dial((claim.attempt_id, claim.trunk_id, claim.callee) for claim in claims)
    failpoints.reached("published")
    calls_up.add(Counter((claim.account_id, claim.campaign_id) for claim in claims))


def _note_idle(found: Found, now: datetime) -> None:
    """Keep what the look has found of campaigns with nothing to dial, so that the next ones need not look at them."""
    idle.settle_down(found.idle, now, passed_over=now + PASSED_OVER if found.is_crowded else None)
    if found.is_crowded:
        idle.put_off(found.paced)
