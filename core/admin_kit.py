"""What the admin pages of every app share: times in the account's zone, pages that only show, large tables, JSON."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _Base = BaseModelAdmin[Any]
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _Paginator = Paginator[Any]
else:
    _Base = BaseModelAdmin
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline
    _Paginator = Paginator

NOTHING = "-"  # as Django shows an empty field; from a function of ours it would show None

# Times ---------------------------------------------------------------------------------------------------------------


def local(moment: datetime | None, zone: tzinfo) -> SafeString | None:
    """`2026-03-27 10:30:05 IST`: the wall clock of the zone, with its abbreviation. Wraps after the date only."""
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
    """Shows every date and time of the model in the zone of the row's account. None of them can be edited here.

    Django shows a page in one zone; the rows of a list may be of many accounts, so each row brings its own.
    """

    account_path: str | None = "account"  # attributes from a row to its account; None: the row is the operator's (UTC)

    def zone_of(self, row: Any) -> tzinfo:
        zone: tzinfo = attrgetter(f"{self.account_path}.zone")(row) if self.account_path else UTC
        return zone

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

        shown.__name__ = field.name  # names the column's CSS class, and finds the field's help text
        return shown


# Pages ---------------------------------------------------------------------------------------------------------------


class PageAdmin(LocalTimes, _ModelAdmin):
    """A page of the admin with local times. Counts only what the filters leave, never the whole table beside it."""

    show_full_result_count = False
    list_per_page = 50

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._with_local_times(super().get_list_display(request))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        self.prepare(page.result_list)
        return page

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Django's log of what was done here, in the same zone as the page it belongs to."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return super().history_view(request, object_id, extra_context)
        zone = self.zone_of(row)
        with timezone.override(zone):
            page = super().history_view(request, object_id, {**(extra_context or {}), "subtitle": f"Times in {zone}"})
            return page.render() if isinstance(page, TemplateResponse) else page

    def prepare(self, rows: Iterable[Any]) -> None:
        """For what a whole page of rows needs from elsewhere, in one query."""


class ReadOnly(_Base):
    """Shown, and nothing else: what the program wrote stays as it was written."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return flatten_fieldsets(self.get_fieldsets(request, obj))


class ReadOnlyAdmin(ReadOnly, PageAdmin):
    pass


class ReadOnlyInline(ReadOnly, LocalTimes, _TabularInline):
    extra = 0
    ordering: ClassVar[tuple[str, ...]] = ("pk",)


class DeletedWhenUnused(_Base):
    """Can be deleted one at a time, and only while no other row refers to it.

    Django's own check would first load everything that refers to it, which may be millions of calls.
    """

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and super().has_delete_permission(request, obj) and not is_used(obj)


def is_used(row: models.Model) -> bool:
    return any(
        relation.related_model._base_manager.filter(**{relation.field.name: row}).exists()
        for relation in row._meta.related_objects
    )


class CappedPaginator(_Paginator):
    """Counts up to ten thousand rows and says `more than` beyond: a full count of a large table takes seconds."""

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


class LargeTableAdmin(ReadOnlyAdmin):
    """For tables of many millions: newest first by the key, no other order, no counting of all."""

    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-pk",)
    sortable_by = ()


# Parts of a page -----------------------------------------------------------------------------------------------------


def link(row: models.Model, text: str = "") -> SafeString:
    """A link to the row's own page."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text or str(row))


def badge(state: str, text: str = "") -> SafeString:
    """A state as a coloured word; the word says it all, the colour only helps."""
    return format_html('<span class="badge badge-{}">{}</span>', state, text or state)


def pretty_json(document: Any) -> SafeString:
    return format_html('<pre class="json">{}</pre>', json.dumps(document, indent=2, ensure_ascii=False))


def as_uuid(text: str) -> UUID | None:
    """An id as people paste it: 32 hex digits, with or without dashes; None for anything else."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


class PrettyJSONField(forms.JSONField):
    """JSON that a person can edit: indented."""

    def prepare_value(self, value: Any) -> Any:
        plain = super().prepare_value(value)
        return plain if value is None or plain is value else json.dumps(value, indent=2, ensure_ascii=False)


class ChoiceFilter(admin.SimpleListFilter):
    """A filter with a fixed list of choices, for a column whose values Django would have to look for in every row."""

    column: str
    values: Iterable[tuple[str, Any]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(self.values)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset
