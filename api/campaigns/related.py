"""What responses show of campaigns beside their own columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import prefetch_related_objects

from campaigns import progress
from campaigns.models import Call, Campaign
from campaigns.progress import Progress
from reports import call_details


@dataclass(frozen=True)
class Related:
    """Each by the campaign's id. numbers: only of those campaigns whose responses show them."""

    progress: Mapping[UUID, Progress]
    at_the_carrier: Mapping[UUID, int]
    by_machine: Mapping[UUID, int] = field(default_factory=dict)
    numbers: Mapping[UUID, Sequence[str]] = field(default_factory=dict)
    children: Mapping[UUID, Sequence[UUID]] = field(default_factory=dict)


def load(
    campaigns: Sequence[Campaign], numbers: Mapping[UUID, Sequence[str]] | None = None, *, are_new: bool = False
) -> Related:
    """Load it with three queries, however many campaigns there are, and one for custom fields not loaded yet.

    One more where campaigns tell machines from people.

    are_new: just created, so that nobody was called yet: one query.
    """
    prefetch_related_objects(campaigns, "custom_field")
    keys = [campaign.pk for campaign in campaigns]
    if are_new:
        return Related(progress.of(keys), at_the_carrier={}, numbers=numbers or {})
    off = Campaign.MachineDetection.OFF
    detecting = [campaign.pk for campaign in campaigns if campaign.machine_detection != off]
    by_machine = call_details.answered_by_machines(detecting) if detecting else {}
    return Related(progress.of(keys), call_details.at_the_carrier(keys), by_machine, numbers or {}, _children(keys))


def _children(keys: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """Return the campaigns that call people of these again, oldest first."""
    children: dict[UUID, list[UUID]] = {}
    rows = Campaign.objects.filter(parent__in=keys, is_purging=False).order_by("created_at", "pk")
    for parent, child in rows.values_list("parent_id", "pk"):
        children.setdefault(parent, []).append(child)
    return children


def numbers_of(campaign: Campaign) -> dict[UUID, list[str]]:
    """Load the numbers of a campaign; none if it was made from lists, which may have half a million."""
    if campaign.list_ids:
        return {}
    calls = Call.objects.filter(campaign=campaign).order_by("id")
    return {campaign.pk: list(calls.values_list("number", flat=True))}
