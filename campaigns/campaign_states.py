"""The only module that writes Campaign.status. Who moves a campaign out of each state: docs/developer/states.md."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from campaigns import signals
from campaigns.models import Campaign, CampaignHistory
from core.state_machine import Move, StateMachine

S = Campaign.Status

LEGAL: dict[str, set[str]] = {
    S.CREATED: {S.IN_PROGRESS, S.PAUSED, S.FAILED, S.DELETED},
    S.IN_PROGRESS: {S.PAUSED, S.COMPLETED, S.FAILED},
    # A campaign that was paused before its start goes back to created, and may still be deleted.
    S.PAUSED: {S.CREATED, S.IN_PROGRESS, S.COMPLETED, S.FAILED, S.CANCELED, S.DELETED},
    S.COMPLETED: {S.ARCHIVED},
}

_machine = StateMachine(Campaign, CampaignHistory, LEGAL)


def allows(before: str, after: str) -> bool:
    return _machine.allows(before, after)


def move(campaigns: Iterable[Campaign], to: str, *, at: datetime, reason: str = "", **columns: Any) -> set[Any]:
    """Move those of the campaigns that are still in the state in which they were loaded; return the ids that moved.

    The rows that moved have their new values in memory too.
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
            of_them = [campaign for campaign in campaigns if campaign.pk in moved]
            for campaign in of_them:
                Move(campaign.pk, to, reason, columns).apply_to(campaign)
            signals.campaigns_moved.send(Campaign, campaigns=of_them, at=at)
    return moved
