"""The attempts of campaigns, for call details and summaries; and the numbers that a rule kept from any attempt."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, QuerySet

from campaigns.models import Call, Campaign
from dialer.models import CallAttempt


@dataclass(frozen=True)
class NeverDialed:
    """The record of a number that a rule kept from ever being dialed. Its attributes are those of an attempt."""

    call: Call
    pk: None = None
    number: int = 0
    digits: str = ""
    placing_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    wish: str = ""

    @property
    def status(self) -> str:
        return self.call.status

    @property
    def reason(self) -> str:
        return self.call.end_reason

    @property
    def claimed_at(self) -> datetime | None:
        return self.call.ended_at

    @property
    def ended_at(self) -> datetime | None:
        return self.call.ended_at


Record = CallAttempt | NeverDialed


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


def never_dialed(campaign: Campaign, statuses: Sequence[str] = ()) -> "QuerySet[Call]":
    """Return the campaign's calls that a rule ended before any attempt counted. statuses: as for `attempts_of`."""
    ended = [Call.Status.FAILED, Call.Status.CANCELED]
    calls = campaign.calls.filter(status__in=ended, attempts_made=0).exclude(rule="")
    return calls.filter(status__in=statuses) if statuses else calls


def read_together(
    campaign: Campaign, statuses: Sequence[str], *, is_descending: bool, offset: int, limit: int
) -> list[Record]:
    """Return a page of both, in the order of their times: when an attempt was claimed, or the number ended."""
    direction = "DESC" if is_descending else "ASC"
    of_statuses = "AND status = ANY(%(statuses)s::text[])" if statuses else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT attempt_id, call_id FROM (
                (SELECT claimed_at AS at, id AS attempt_id, NULL::bigint AS call_id FROM dialer_callattempt
                WHERE campaign_id = %(campaign)s AND placing_at IS NOT NULL AND status <> 'canceled' {of_statuses}
                ORDER BY claimed_at {direction}, id {direction} LIMIT %(end)s)
                UNION ALL
                (SELECT ended_at, NULL, id FROM campaigns_call
                WHERE campaign_id = %(campaign)s AND status IN ('failed', 'canceled') AND attempts_made = 0
                    AND rule <> '' {of_statuses}
                ORDER BY ended_at {direction}, id {direction} LIMIT %(end)s)
            ) AS record
            ORDER BY at {direction}, call_id {direction}, attempt_id {direction} LIMIT %(limit)s OFFSET %(offset)s
            """,  # noqa: S608 -- made of constants, and every value is a parameter
            {
                "campaign": campaign.pk,
                "statuses": list(statuses),
                "offset": offset,
                "limit": limit,
                "end": offset + limit,
            },
        )
        keys = cursor.fetchall()
    attempts = attempts_of(campaign, ()).in_bulk([attempt_id for attempt_id, _ in keys if attempt_id])
    calls = Call.objects.in_bulk([call_id for _, call_id in keys if call_id])
    records: list[Record] = []
    for attempt_id, call_id in keys:
        if attempt := attempts.get(attempt_id):
            records.append(attempt)
        elif call := calls.get(call_id):
            records.append(NeverDialed(call))
    return records


# Counts the attempts of each campaign that were offered to a carrier and have not ended: a part of larger statements.
AT_THE_CARRIER = """
    SELECT campaign_id, count(*) AS attempts FROM dialer_callattempt
    WHERE campaign_id = ANY(%(campaigns)s::uuid[]) AND status IN ('placing', 'in-progress', 'unknown') GROUP BY 1
"""


def answered_by_machines(campaign_ids: Collection[UUID]) -> dict[UUID, int]:
    """Count the attempts of each campaign that a machine answered; no key means none."""
    attempts = CallAttempt.objects.filter(campaign__in=campaign_ids, answered_by=CallAttempt.AnsweredBy.MACHINE)
    return dict(attempts.values_list("campaign_id").annotate(Count("id")))
