"""Take people out of campaigns that go on: calls that wait end, and those that are under way get no further attempt.

All that reach nobody end as canceled, attempted before or not.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from campaigns import call_states, campaign_lock, schedule, signals
from campaigns.models import Call, Campaign
from core.state_machine import Move

Status = Call.Status

# The rules that end calls for good, although they are under way: no gate would ask of the number what they know.
CONTACT_DELETED = "contact-deleted"
TAKEN_OUT = "taken-out"
REASONS = {
    CONTACT_DELETED: "the contact was deleted",
    TAKEN_OUT: "the number was taken out of the campaign",
}
# Characters of a reason that are stored.
LONGEST = 255


class Removed(NamedTuple):
    """How many calls ended, and how many are under way and are not dialed again."""

    ended: int
    under_way: int


class OpenCall(NamedTuple):
    """A call that has not ended."""

    pk: int
    status: str
    campaign_id: UUID


def take_out(calls: "QuerySet[Call]", *, rule: str, at: datetime, because: str = "") -> Removed:
    """Take these calls out of their campaigns, as far as they have not ended.

    One under way that a person has taken out keeps that mark, and its reason, but for another one in a person's words.

    Args:
        rule: one of REASONS.
        because: why, in a person's words, behind the reason of the rule.
    """
    reason = f"{REASONS[rule]}: {because}" if because else REASONS[rule]
    unfinished = calls.filter(status__in=[Status.CREATED, Status.IN_PROGRESS, Status.RETRYING])
    with transaction.atomic():
        # Alone: an outcome that has just read one of them as it was would give it its retry.
        campaign_lock.hold(list(unfinished.order_by().values_list("campaign_id", flat=True).distinct()))
        # Waits for a dispatch that is claiming one of them.
        locked = unfinished.order_by("pk").select_for_update(of=("self",), no_key=True)
        rows = [OpenCall(*row) for row in locked.values_list("pk", "status", "campaign_id")]
        under_way = [row.pk for row in rows if row.status == Status.IN_PROGRESS]
        _mark(under_way, rule, reason, has_words=bool(because))
        waiting = [row for row in rows if row.status != Status.IN_PROGRESS]
        ended = end_waiting(waiting, Status.CANCELED, rule, reason, at)
    return Removed(ended, len(under_way))


def _mark(call_ids: Sequence[int], rule: str, reason: str, *, has_words: bool) -> None:
    calls = Call.objects.filter(pk__in=call_ids)
    if rule != TAKEN_OUT or not has_words:
        # A contact may be stored again. Whoever was taken out is not called again, also not then.
        calls = calls.exclude(rule=TAKEN_OUT)
    calls.update(rule=rule, end_reason=reason[:LONGEST])


def end_waiting(rows: Sequence[OpenCall], to: str, rule: str, reason: str, at: datetime) -> int:
    """End waiting calls that the caller's transaction has locked, in the status `to`. Returns how many ended."""
    end = call_states.end_columns(at=at, reason=reason, rule=rule)
    moved = call_states.move([Move(row.pk, to, reason, end) for row in rows], at=at)
    if moved:
        campaigns = Campaign.objects.filter(pk__in={row.campaign_id for row in rows})
        signals.calls_ended.send(Campaign, campaigns=list(campaigns), call_ids=sorted(moved), at=at)
        transaction.on_commit(lambda: schedule.close_if_finished({row.campaign_id for row in rows}, at))
    return len(moved)
