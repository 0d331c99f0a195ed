"""The attempts of campaigns, for call details and summaries."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Count, QuerySet

from campaigns.models import Campaign
from dialer.models import CallAttempt


def attempts_of(campaign: Campaign, statuses: Sequence[str]) -> "QuerySet[CallAttempt]":
    """Return the campaign's attempts that were offered to a carrier and not given back, with their calls.

    statuses: only attempts in one of these; empty: in any.
    """
    attempts = CallAttempt.objects.filter(campaign=campaign, placing_at__isnull=False)
    attempts = attempts.filter(status__in=statuses) if statuses else attempts
    return (
        attempts.exclude(status=CallAttempt.Status.CANCELED)
        .select_related("call")
        .prefetch_related("transfers", "recordings")
    )


def at_the_carrier(campaign_ids: Collection[UUID]) -> dict[UUID, int]:
    """Count the attempts of each campaign that were offered to a carrier and have not ended; no key means none."""
    offered = set(CallAttempt.UNFINISHED) - {CallAttempt.Status.CLAIMED}
    attempts = CallAttempt.objects.filter(campaign__in=campaign_ids, status__in=offered)
    return dict(attempts.values_list("campaign_id").annotate(Count("id")))


def answered_by_machines(campaign_ids: Collection[UUID]) -> dict[UUID, int]:
    """Count the attempts of each campaign that a machine answered; no key means none."""
    attempts = CallAttempt.objects.filter(campaign__in=campaign_ids, answered_by=CallAttempt.AnsweredBy.MACHINE)
    return dict(attempts.values_list("campaign_id").annotate(Count("id")))
