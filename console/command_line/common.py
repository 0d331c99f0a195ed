"""What several actions of `manage.py campaign` share: find campaigns, say what is wrong, print figures."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser

from campaigns import progress
from campaigns.models import Campaign
from campaigns.progress import Progress
from core import ids
from core.errors import InvalidRequest


@contextmanager
def told() -> Iterator[None]:
    """Turn a refusal of the campaign's rules into the command's own error."""
    try:
        yield
    except InvalidRequest as refused:
        raise CommandError(str(refused)) from refused


def add_campaign(parser: CommandParser) -> None:
    parser.add_argument("campaign", help="the campaign's id")


def find_campaign(given: str) -> Campaign:
    """Return the campaign with this id. Raises CommandError where there is none."""
    (found,) = find_campaigns([given])
    return found


def find_campaigns(given: Sequence[str]) -> list[Campaign]:
    """Return the campaigns with these ids, in their order. Raises CommandError for the first that there is not."""
    rows = Campaign.objects.filter(is_purging=False).exclude(status=Campaign.Status.DELETED)
    rows = rows.select_related("account", "caller_id__trunk", "flow", "custom_field", "parent")
    found = rows.in_bulk([ids.parse_or_nil(one) for one in given])
    campaigns = [found.get(ids.parse_or_nil(one)) for one in given]
    if None in campaigns:
        raise CommandError(f"there is no campaign {given[campaigns.index(None)]}: `manage.py campaign list` shows them")
    return [campaign for campaign in campaigns if campaign]


def look(campaigns: Iterable[Campaign]) -> list[dict[str, Any]]:
    """Describe campaigns in one query: their state, and their people by what became of them."""
    campaigns = list(campaigns)
    counted = progress.of(campaign.pk for campaign in campaigns)
    return [_described(campaign, counted[campaign.pk]) for campaign in campaigns]


def _described(campaign: Campaign, counted: Progress) -> dict[str, Any]:
    reached = counted.count("completed")
    return {
        "id": ids.wire_id(campaign.pk),
        "account": campaign.account.sid,
        "name": campaign.name,
        "status": str(campaign.status),
        "total": counted.total,
        "reached": reached,
        "not_reached": counted.ended - reached,
        "left": counted.total - counted.ended,
        "attempts": counted.attempts,
        "starts_at": campaign.send_at.isoformat(),
        "ends_at": campaign.end_at.isoformat() if campaign.end_at else None,
    }


def one_line(described: Mapping[str, Any]) -> str:
    """Tell people what `look` has found of one campaign."""
    parts = f"{described['reached']:,} reached, {described['not_reached']:,} not, {described['left']:,} left"
    return f"{described['id']}  {described['status']:<11}  {described['account']}  {described['name']}: {parts}"


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
