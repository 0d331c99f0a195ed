"""How far campaigns have come: their calls counted by status."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count, Q

from campaigns.models import Call

S = Call.Status


@dataclass(frozen=True)
class Progress:
    """Calls by status. untried: of those that failed or were canceled, without one attempt; retrying_live: of those in
    progress, at a retry."""

    by_status: dict[str, int] = field(default_factory=dict)
    untried: int = 0
    retrying_live: int = 0

    def count(self, *statuses: str) -> int:
        return sum(self.by_status.get(status, 0) for status in statuses)

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def ended(self) -> int:
        return self.count(S.COMPLETED, S.FAILED, S.CANCELED)


def of(campaign_ids: Iterable[UUID]) -> dict[UUID, Progress]:
    """The progress of each of these campaigns, in one query."""
    ids = list(campaign_ids)
    rows = (
        Call.objects.filter(campaign__in=ids)
        .values_list("campaign_id", "status")
        .annotate(calls=Count("id"), untried=Count("id", filter=Q(attempts_made=0)))
    )
    counted: dict[UUID, dict[str, tuple[int, int]]] = {}
    for campaign_id, status, calls, untried in rows:
        counted.setdefault(campaign_id, {})[status] = (calls, untried)
    return {campaign_id: _progress(counted.get(campaign_id, {})) for campaign_id in ids}


def _progress(counts: dict[str, tuple[int, int]]) -> Progress:
    live, first_live = counts.get(S.IN_PROGRESS, (0, 0))
    return Progress(
        by_status={status: calls for status, (calls, _) in counts.items()},
        untried=sum(counts.get(status, (0, 0))[1] for status in (S.FAILED, S.CANCELED)),
        retrying_live=live - first_live,
    )
