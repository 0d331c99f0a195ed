"""The only module that writes Campaign.status. The events behind each move: docs/developer/states.md."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from campaigns import signals
from campaigns.models import Campaign, CampaignHistory
from core.state_machine import Move, StateMachine

Status = Campaign.Status

LEGAL: dict[str, set[str]] = {
    Status.CREATED: {Status.IN_PROGRESS, Status.PAUSED, Status.FAILED, Status.DELETED},
    Status.IN_PROGRESS: {Status.PAUSED, Status.COMPLETED, Status.FAILED},
    # A campaign that was paused before its start returns to created, and may still be deleted.
    Status.PAUSED: {
        Status.CREATED,
        Status.IN_PROGRESS,
        Status.COMPLETED,
        Status.FAILED,
        Status.CANCELED,
        Status.DELETED,
    },
    Status.COMPLETED: {Status.ARCHIVED},
    Status.FAILED: {Status.ARCHIVED},
    Status.CANCELED: {Status.ARCHIVED},
}

_machine = StateMachine(Campaign, CampaignHistory, LEGAL)


def allows(before: str, after: str) -> bool:
    """Return whether a campaign in state `before` may move to state `after`."""
    return _machine.allows(before, after)


def move(campaigns: Iterable[Campaign], to: str, *, at: datetime, reason: str = "", **columns: Any) -> set[Any]:
    """Move the campaigns that are still in the state they were loaded in, and send `campaigns_moved` for them.

    Returns the ids of those that moved. Their rows in memory get the new values, too.
    """
    campaigns = list(campaigns)
    if not campaigns:
        return set()
    rows = Campaign.objects.filter(pk__in=[campaign.pk for campaign in campaigns])
    before = {campaign.status for campaign in campaigns}
    columns = {**columns, "updated_at": at}
    with transaction.atomic(savepoint=False):
        moved = _machine.move_all(rows, to, before=before, at=at, reason=reason, **columns)
        if moved:
            moved_campaigns = [campaign for campaign in campaigns if campaign.pk in moved]
            for campaign in moved_campaigns:
                Move(campaign.pk, to, reason, columns).apply_to(campaign)
            signals.campaigns_moved.send(Campaign, campaigns=moved_campaigns, at=at)
    return moved
