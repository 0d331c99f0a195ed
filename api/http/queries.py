"""Query parameters of lists: paging, sorting, filters."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from api.campaigns.call_details import STATES
from api.http import spelling
from campaigns.models import Campaign

M = TypeVar("M", bound=Model)

DEFAULT_LIMIT = 20
MAX_LIMIT = 500
CAMPAIGN_SORTS = {"date_created": "created_at", "name": "name"}
CALL_SORTS = {"date_created": "claimed_at"}


class PageQuery(serializers.Serializer):  # type: ignore[type-arg]
    """offset counts records from 0; a limit above the maximum is the maximum."""

    offset = serializers.IntegerField(min_value=0, max_value=2**31, default=0)
    limit = serializers.IntegerField(min_value=1, default=DEFAULT_LIMIT)
    status = serializers.CharField(required=False, allow_blank=True)
    sort_by = serializers.CharField(default="date_created:asc")

    most: int = MAX_LIMIT
    sorts: dict[str, str] = CALL_SORTS
    states: tuple[str, ...] = STATES

    def validate_limit(self, limit: int) -> int:
        return min(limit, self.most)

    def validate_status(self, text: str) -> list[str]:
        known, unknown = spelling.parse_words(text, self.states)
        if unknown:
            raise serializers.ValidationError(f"{unknown[0]} is none of {', '.join(self.states)}")
        return known

    def validate_sort_by(self, text: str) -> str:
        field, _, direction = text.partition(":")
        if field not in self.sorts or direction not in {"", "asc", "desc"}:
            examples = " or ".join(f"{name}:asc" for name in self.sorts)
            raise serializers.ValidationError(f"sort by {examples}, or the same with :desc")
        return f"-{self.sorts[field]}" if direction == "desc" else self.sorts[field]


class CampaignsQuery(PageQuery):
    name = serializers.CharField(required=False, allow_blank=True)
    type = serializers.CharField(required=False)

    sorts = CAMPAIGN_SORTS
    states = tuple(status.value for status in Campaign.Status)


def parse(query: type[PageQuery], request: Request) -> dict[str, Any]:
    """The validated parameters. Raises ValidationError."""
    serializer = query(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def page_of(rows: "QuerySet[M]", query: dict[str, Any]) -> "QuerySet[M]":
    """The page that was asked for; rows that sort alike stand in the order of their keys."""
    return rows.order_by(query["sort_by"], "pk")[query["offset"] : query["offset"] + query["limit"]]
