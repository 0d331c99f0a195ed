"""What responses show of campaigns beside their own columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection
from django.db.models import prefetch_related_objects

from campaigns import progress
from campaigns.models import Campaign
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


def of_new(campaigns: Sequence[Campaign], numbers: Mapping[UUID, Sequence[str]]) -> Related:
    """Return it for campaigns that were just created, so that nobody was called yet.

    Without a query, if they were made from these numbers; those of campaigns from lists are counted.
    """
    prefetch_related_objects(campaigns, "custom_field")
    counted = {key: progress.of_new(len(called)) for key, called in numbers.items()}
    uncounted = [campaign.pk for campaign in campaigns if campaign.pk not in counted]
    return Related(counted | (progress.of(uncounted) if uncounted else {}), at_the_carrier={}, numbers=numbers)


def load(campaigns: Sequence[Campaign], *, with_numbers: bool = False) -> Related:
    """Load it with one query, however many campaigns there are, and one for custom fields not loaded yet.

    One more where campaigns tell machines from people.

    with_numbers: load those, too, but of campaigns from lists, which may have half a million.
    """
    prefetch_related_objects(campaigns, "custom_field")
    keys = [campaign.pk for campaign in campaigns]
    off = Campaign.MachineDetection.OFF
    detecting = [campaign.pk for campaign in campaigns if campaign.machine_detection != off]
    by_machine = call_details.answered_by_machines(detecting) if detecting else {}
    shown = [campaign.pk for campaign in campaigns if with_numbers and not campaign.list_ids]
    with connection.cursor() as cursor:
        cursor.execute(_SHOWN, {"campaigns": keys, "with_numbers": shown})
        [(sums, at_the_carrier, children, called)] = cursor.fetchall()
    return Related(
        progress.of_sums(keys, sums),
        {UUID(key): attempts for key, attempts in at_the_carrier},
        by_machine,
        dict.fromkeys(shown, ()) | {UUID(key): found for key, found in called},
        {UUID(key): [UUID(child) for child in found] for key, found in children},
    )


# One round trip: while the machine dials, each waits for a core here and in PostgreSQL. `children` call people of a
# campaign again, oldest first.
_SHOWN = f"""
    SELECT
        (SELECT coalesce(json_agg(json_build_array(campaign_id, status, tried, calls, attempts)), '[]')
            FROM ({progress.SUMS}) AS sums),
        (SELECT coalesce(json_agg(json_build_array(campaign_id, attempts)), '[]')
            FROM ({call_details.AT_THE_CARRIER}) AS live),
        (SELECT coalesce(json_agg(json_build_array(parent_id, children)), '[]') FROM (
            SELECT parent_id, array_agg(id ORDER BY created_at, id) AS children FROM campaigns_campaign
            WHERE parent_id = ANY(%(campaigns)s::uuid[]) AND NOT is_purging GROUP BY 1
        ) AS again),
        (SELECT coalesce(json_agg(json_build_array(campaign_id, numbers)), '[]') FROM (
            SELECT campaign_id, array_agg(number ORDER BY id) AS numbers FROM campaigns_call
            WHERE campaign_id = ANY(%(with_numbers)s::uuid[]) GROUP BY 1
        ) AS called)
"""  # noqa: S608 -- made of constants, and every value is a parameter
