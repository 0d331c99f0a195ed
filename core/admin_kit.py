"""Parts of admin pages that several apps use: times in a zone of each row, read-only pages, large tables, JSON."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from functools import cached_property, reduce
from operator import or_
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _Base = BaseModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _Base = BaseModelAdmin
    _Paginator = Paginator

NOTHING = "-"  # as Django shows an empty field; what a display function returns it shows as it is, also None

# Times ---------------------------------------------------------------------------------------------------------------


def local(moment: datetime | None, zone: tzinfo) -> SafeString | None:
    """Write `2026-03-27 10:30:05 IST`: the zone's wall clock with its abbreviation. It wraps after the date only."""
    if moment is None:
        return None
    wall = moment.astimezone(zone)
    return format_html(
        '<time datetime="{}"><span class="nowrap">{}</span> <span class="nowrap">{}</span></time>',
        moment.astimezone(UTC).isoformat(timespec="seconds"),
        wall.strftime("%Y-%m-%d"),
        wall.strftime("%H:%M:%S %Z"),
    )


class LocalTimes(_Base):
    """Shows each date and time of the model in the row's own zone, read-only.

    Django shows a page in one zone, but each row of a list may have another.
    """

    def zone_of(self, row: Any) -> tzinfo:
        """Return the row's zone: UTC, unless a page knows better."""
        return UTC

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*self._with_local_times(super().get_readonly_fields(request, obj)), *self._local_times.values()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (title, {**options, "fields": self._with_local_times(options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _with_local_times(self, names: Iterable[Any]) -> list[Any]:
        return [
            tuple(self._with_local_times(name)) if isinstance(name, list | tuple) else self._local_times.get(name, name)
            for name in names
        ]

    @cached_property
    def _local_times(self) -> dict[Any, Callable[[Any], str]]:
        fields = self.model._meta.get_fields()
        return {field.name: self._shown(field) for field in fields if isinstance(field, models.DateTimeField)}

    def _shown(self, field: Any) -> Callable[[Any], str]:
        @admin.display(description=field.verbose_name, ordering=field.name)
        def shown(row: Any) -> str:
            return local(getattr(row, field.name), self.zone_of(row)) or NOTHING

        shown.__name__ = field.name  # Django takes the column's CSS class and the help text from it
        return shown


# Pages ---------------------------------------------------------------------------------------------------------------


class ReadOnly(_Base):
    """Rows that the program writes: people can read them, and neither add, change nor delete them."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return flatten_fieldsets(self.get_fieldsets(request, obj))


class DeletedWhenUnused(_Base):
    """Rows that can be deleted one at a time, and only while no other row refers to them.

    Django's own check would first load everything that refers to the row, which may be millions of rows.
    """

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and super().has_delete_permission(request, obj) and not is_used(obj)


def is_used(row: models.Model) -> bool:
    """Tell whether any other row refers to this one."""
    return any(
        relation.related_model._base_manager.filter(**{relation.field.name: row}).exists()
        for relation in row._meta.related_objects
    )


class WordSearch(_Base):
    """Finds rows where each word of the search begins a word of some column: `EMI` is not in `reminders`."""

    search_fields: ClassVar[Any]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return begins_words(queryset, self.search_fields, search_term), False


def begins_words(rows: Any, columns: Iterable[str], text: str) -> Any:
    """Return the rows of a query where each word of the text begins a word of some column."""
    for word in text.split():
        start = "(^|[^[:alnum:]])" if word[0].isalnum() else ""
        pattern = start + re.escape(word)
        rows = rows.filter(reduce(or_, (models.Q((f"{column}__iregex", pattern)) for column in columns)))
    return rows


class CappedPaginator(_Paginator):
    """Counts up to ten thousand rows and says `more than` beyond that: to count a large table takes seconds."""

    CAP = 10_000

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.CAP)

    @property
    def is_capped(self) -> bool:
        return self._counted > self.CAP

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list[: self.CAP + 1]
        return int(rows.count())


# Parts of a page -----------------------------------------------------------------------------------------------------


def link(row: models.Model, text: str = "") -> SafeString:
    """Return a link to the row's own page."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text or str(row))


def badge(state: str, text: str = "") -> SafeString:
    """Return the state as a word in colour. The word suffices without the colour."""
    return format_html('<span class="badge badge-{}">{}</span>', state, text or state)


def pretty_json(document: Any) -> SafeString:
    """Return the document as indented text."""
    return format_html('<pre class="json">{}</pre>', json.dumps(document, indent=2, ensure_ascii=False))


class ChoiceFilter(admin.SimpleListFilter):
    """A filter with fixed choices, for a column whose values Django would otherwise look for in every row."""

    column: str
    values: Iterable[tuple[str, Any]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(self.values)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset
