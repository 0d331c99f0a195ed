"""Query parameters of lists: paging, sorting, filters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from api.http import spelling

M = TypeVar("M", bound=Model)

DEFAULT_LIMIT = 20
MAX_LIMIT = 500
# The longest text of an offset that is read at once. Behind ten thousand rows a page is searched for.
SHALLOW_DIGITS = 4


class PageQuery(serializers.Serializer):  # type: ignore[type-arg]
    """offset counts records from 0. A limit above the maximum counts as the maximum."""

    offset = serializers.IntegerField(
        min_value=0, max_value=2**31, default=0, help_text="Position of the first record, from 0."
    )
    limit = serializers.IntegerField(min_value=1, default=DEFAULT_LIMIT)

    max_limit: int = MAX_LIMIT

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["limit"].help_text = f"At most {self.max_limit}; more is clamped."
        return fields

    def validate_limit(self, limit: int) -> int:
        return min(limit, self.max_limit)


class SortedQuery(PageQuery):
    """A subclass names what its rows can be sorted by: the wire's names and the columns."""

    sort_by = serializers.CharField(default="date_created:asc")

    sorts: dict[str, str]

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["sort_by"].help_text = f"One of {', '.join(self.sorts)}, with :asc or :desc."
        return fields

    def validate_sort_by(self, text: str) -> str:
        field, _, direction = text.partition(":")
        if field not in self.sorts or direction not in {"", "asc", "desc"}:
            examples = " or ".join(f"{name}:asc" for name in self.sorts)
            raise serializers.ValidationError(f"sort by {examples}, or the same with :desc")
        return f"-{self.sorts[field]}" if direction == "desc" else self.sorts[field]


class StatusQuery(SortedQuery):
    """A subclass names the states that its rows can be filtered by."""

    status = serializers.CharField(required=False, allow_blank=True)

    states: tuple[str, ...]

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["status"].help_text = f"Comma-separated, in any spelling: {', '.join(self.states)}."
        return fields

    def validate_status(self, text: str) -> list[str]:
        return known_words(text, self.states)


def known_words(text: str, known: tuple[str, ...]) -> list[str]:
    """Parse the comma-separated words of a filter. Raises ValidationError for the first that is unknown."""
    words, unknown = spelling.parse_words(text, known)
    if unknown:
        raise serializers.ValidationError(f"{unknown[0]} is none of {', '.join(known)}")
    return words


def is_search(given: Mapping[str, str], searched_by: Iterable[str]) -> bool:
    """Tell whether a page, however small, may let PostgreSQL look at each row of the account.

    Args:
        given: the parameters as they were sent.
        searched_by: names of those that no index knows.
    """
    offset = given.get("offset", "").strip()
    # By its length, as +20000 and 2_0000 are numbers, too.
    is_shallow = len(offset) <= SHALLOW_DIGITS
    return not is_shallow or any(map(given.get, searched_by)) or given.get("sort_by", "").strip().startswith("name")


def parse(query: type["serializers.Serializer[Any]"], request: Request) -> dict[str, Any]:
    """Return the validated parameters. Raises ValidationError."""
    given: dict[str, str] = request.query_params.dict()
    serializer = query(data=given)
    for name, text in given.items():
        # Django has put this character in the place of bytes that are not UTF-8. It would find nothing.
        if "\ufffd" in text and name in serializer.fields:
            raise serializers.ValidationError({name: "is not UTF-8: encode the address as UTF-8"})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def page_of(rows: "QuerySet[M]", query: dict[str, Any]) -> list[M]:
    """Read the page that a SortedQuery asks for. Rows that sort alike are in the order of their keys."""
    return read_page(rows.order_by(query["sort_by"], "pk"), query)


def read_page(rows: "QuerySet[M]", query: dict[str, Any]) -> list[M]:
    """Read the page that a PageQuery asks for, of rows that are sorted.

    Behind an offset the keys come first, then the rows of the page: passed over are entries of an index, or keys that
    are sorted, and not rows with all that is joined to them.
    """
    offset, limit = query["offset"], query["limit"]
    if not offset:
        return list(rows[:limit])
    keys = list(rows.values_list("pk", flat=True)[offset : offset + limit])
    found = rows.in_bulk(keys) if keys else {}
    return [found[key] for key in keys if key in found]


def total_of(rows: "QuerySet[M]", page: Sequence[M], query: dict[str, Any]) -> int:
    """Return how many rows there are. A page that is not full is the last one, so most lists need no count."""
    is_last = len(page) < query["limit"] and (page or not query["offset"])
    return int(query["offset"] + len(page) if is_last else rows.count())
