"""The attempts of campaigns, for call details and summaries."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Count, QuerySet

from campaigns.models import Campaign
from dialer.models import CallAttempt


def of(campaign: Campaign, statuses: Sequence[str]) -> "QuerySet[CallAttempt]":
    """The campaign's attempts that were offered to a carrier, in these statuses or any; with their calls."""
    attempts = CallAttempt.objects.filter(campaign=campaign, placing_at__isnull=False)
    attempts = attempts.filter(status__in=statuses) if statuses else attempts
    return attempts.exclude(status=CallAttempt.Status.CANCELED).select_related("call")


def at_the_carrier(campaign_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many attempts of each campaign were offered to a carrier and have not ended; absent where there is none."""
    offered = set(CallAttempt.UNFINISHED) - {CallAttempt.Status.CLAIMED}
    attempts = CallAttempt.objects.filter(campaign__in=campaign_ids, status__in=offered)
    return dict(attempts.values_list("campaign_id").annotate(Count("id")))
