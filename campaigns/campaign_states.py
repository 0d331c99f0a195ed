"""The only module that writes Campaign.status. Who moves a campaign out of each state: docs/developer/states.md."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from campaigns import signals
from campaigns.models import Campaign, CampaignHistory
from core.state_machine import StateMachine

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
    """Moves those of the campaigns that are still in the state they were loaded in; answers the ids that moved."""
    campaigns = list(campaigns)
    if not campaigns:
        return set()
    rows = Campaign.objects.filter(pk__in=[campaign.pk for campaign in campaigns])
    before = {campaign.status for campaign in campaigns}
    with transaction.atomic(savepoint=False):
        moved = _machine.move_all(rows, to, before=before, at=at, reason=reason, **columns)
        if moved:
            of_them = [campaign for campaign in campaigns if campaign.pk in moved]
            signals.campaigns_moved.send(Campaign, campaigns=of_them, to=to, at=at)
    return moved
