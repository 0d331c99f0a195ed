"""What a person may do to people of a campaign that goes on: take them out of it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.audit import Actor
from campaigns import campaign_lock, lifecycle, removal
from campaigns.models import Call, Campaign
from core.errors import WrongState

Status = Call.Status


@dataclass(frozen=True)
class Wanted:
    """Whom to take out: everybody of a number, in E.164, or one call."""

    number: str = ""
    call_id: int | None = None


@dataclass(frozen=True)
class TakenOut:
    """What became of it.

    Attributes:
        waiting: how many calls have ended by it.
        under_way: how many are up, or about to be dialed, and get no further attempt. They are not hung up.
        over: how many had ended before.
    """

    number: str
    waiting: int
    under_way: int
    over: int


def take_out(
    campaign: Campaign, wanted: Sequence[Wanted], *, actor: Actor, reason: str = "", now: datetime
) -> list[TakenOut | None]:
    """Take people out of an open campaign, in a handful of statements however many there are.

    Calls that wait end as canceled, and so do those under way, unless they are answered.

    Args:
        reason: a person's, for the report and the audit.

    Returns:
        For each of `wanted`: what became of it; None where the campaign has no such call.

    Raises:
        WrongState: the campaign has ended, or its calls are still being made.
    """
    with transaction.atomic():
        campaign = lifecycle.lock_open(campaign)
        found = _calls(campaign, wanted)
        calls = {call.pk: call for rows in found for call in rows}
        open_ids = [pk for pk, call in calls.items() if call.status not in Call.ENDED]
        rows = Call.objects.filter(pk__in=open_ids)
        removed = removal.take_out(rows, rule=removal.TAKEN_OUT, at=now, because=reason)
        if open_ids:
            what = f"took out {removed.ended:,} calls that waited and {removed.under_way:,} under way"
            audit.record(actor, audit.Verb.CHANGED, campaign, what=f"{what}: {reason}" if reason else what, at=now)
    return [_told(rows) if rows else None for rows in found]


def _calls(campaign: Campaign, wanted: Sequence[Wanted]) -> list[list[Call]]:
    """Lock the calls in the order of their keys, and return those of each wish."""
    if not wanted:
        return []
    numbers = {wish.number for wish in wanted if wish.call_id is None}
    ids = {wish.call_id for wish in wanted if wish.call_id is not None}
    named = [Q(number__in=numbers)] * bool(numbers) + [Q(pk__in=ids)] * bool(ids)
    rows = campaign.calls.filter(reduce(or_, named)).only("campaign", "number", "status").order_by("pk")
    by_number: dict[str, list[Call]] = defaultdict(list)
    by_id: dict[int | None, list[Call]] = {}
    # Waits for a dispatch that is claiming one of them, and for an outcome that is storing its end.
    for call in rows.select_for_update(no_key=True):
        by_number[call.number].append(call)
        by_id[call.pk] = [call]
    return [by_number.get(wish.number, []) if wish.call_id is None else by_id.get(wish.call_id, []) for wish in wanted]


def _told(calls: Sequence[Call]) -> TakenOut:
    under_way = sum(call.status == Status.IN_PROGRESS for call in calls)
    over = sum(call.status in Call.ENDED for call in calls)
    return TakenOut(calls[0].number, len(calls) - under_way - over, under_way, over)


@dataclass(frozen=True)
class TakenOutOfMany:
    """What became of calls of several campaigns: see TakenOut. refusals: why not, by campaign."""

    waiting: int
    under_way: int
    over: int
    refusals: list[tuple[Campaign, str]]


def take_out_calls(calls: Sequence[Call], *, actor: Actor, reason: str, now: datetime) -> TakenOutOfMany:
    """Take these calls, which may be of several campaigns, out of those of them that go on.

    Args:
        calls: with their campaigns loaded.
    """
    chosen: dict[Campaign, list[Wanted]] = defaultdict(list)
    for call in calls:
        chosen[call.campaign].append(Wanted(call_id=call.pk))
    told: list[TakenOut] = []
    refusals = []
    with transaction.atomic():
        campaign_lock.hold([campaign.pk for campaign in chosen])  # all at once, in the one order
        for campaign, wanted in chosen.items():
            try:
                told += filter(None, take_out(campaign, wanted, actor=actor, reason=reason, now=now))
            except WrongState as refusal:
                refusals.append((campaign, str(refusal)))
    return TakenOutOfMany(
        sum(one.waiting for one in told),
        sum(one.under_way for one in told),
        sum(one.over for one in told),
        refusals,
    )
