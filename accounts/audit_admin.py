"""The admin page of who did what: filters, a search, and a download of what they leave."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_GET

from accounts.admin_kit import LargeTableAdmin, VisibleRows, reach
from accounts.audit_entry import AuditEntry, verbs
from core import csv_formulas, ids
from core.admin_kit import ChoiceFilter, WordSearch
from core.times import rfc3339

COLUMNS = (
    *("at", "actor_kind", "actor", "account", "verb", "object_kind", "object", "object_id", "what", "ip"),
    "request_id",
)
# Rows of one query of a download, so that its memory stays flat.
CSV_BATCH = 2000


class VerbFilter(ChoiceFilter):
    title = "verb"
    parameter_name = column = "verb"
    values = [(value, value) for value, _ in verbs()]


class ObjectFilter(ChoiceFilter):
    title = "kind of object"
    parameter_name = column = "object_kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the models that the person may see."""
        pages = model_admin.admin_site._registry
        seen = [model._meta for model, page in pages.items() if page.has_module_permission(request)]
        return sorted(((meta.label_lower, meta.verbose_name) for meta in seen), key=lambda choice: str(choice[1]))


@admin.register(AuditEntry)
class AuditEntryAdmin(WordSearch, LargeTableAdmin):
    """The entries of an account are its people's; those of the server, such as sign-ins, are its administrators'."""

    account_path = "account"
    list_display = ("at", "actor", "verb", "kind_of_object", "object_name", "what", "account_sid", "ip")
    list_filter = ("actor_kind", VerbFilter, ObjectFilter, ("account", VisibleRows), "at")
    list_select_related = ("account",)
    search_fields = ("actor_name", "object_name", "what", "account_sid", "ip")
    search_help_text = "The beginning of words of actor, object, what, account or IP address; or a whole ID."
    fieldsets = (
        (None, {"fields": ("at", "actor", "actor_kind", "verb", "what")}),
        ("Object", {"fields": ("kind_of_object", "object_name", "object_id", "account_sid")}),
        ("Request", {"fields": ("ip", "request_id")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        entries = super().get_queryset(request)
        return entries if reach(request).is_over_the_server else entries.exclude(account=None)

    def zone_of(self, row: AuditEntry) -> tzinfo:
        """Return the zone of the account; UTC where there is none, or no longer."""
        return row.account.zone if row.account else UTC

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        if wanted := ids.parse(search_term.strip()):
            return queryset.filter(Q(object_id=str(wanted)) | Q(request_id=wanted.hex)), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="kind of object", ordering="object_kind")
    def kind_of_object(self, entry: AuditEntry) -> str:
        return entry.kind_of_object

    # Download ----------------------------------------------------------------------------------------------------

    def get_urls(self) -> Any:
        download = path("csv/", self.admin_site.admin_view(require_GET(self.csv_view)), name="accounts_auditentry_csv")
        return [download, *super().get_urls()]

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """Stream the entries that the filters and the search leave, newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            entries = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect("admin:accounts_auditentry_changelist")
        response = StreamingHttpResponse(_lines(entries), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="who-did-what.csv"'
        response["Cache-Control"] = "private, no-store"
        return response


class _Line:
    """What csv writes to: it returns the line."""

    def write(self, line: str) -> str:
        return line


def _lines(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    writer = csv.writer(cast(Any, _Line()))
    yield cast(str, writer.writerow(COLUMNS))
    for entry in _in_batches(entries.order_by("-pk")):
        yield cast(str, writer.writerow(csv_formulas.neutral(str(cell)) for cell in _cells(entry)))


def _in_batches(entries: QuerySet[AuditEntry]) -> Iterator[AuditEntry]:
    rest = entries
    while batch := list(rest[:CSV_BATCH]):
        yield from batch
        rest = entries.filter(pk__lt=batch[-1].pk)


def _cells(entry: AuditEntry) -> Iterable[Any]:
    yield from (rfc3339(entry.at, UTC), entry.actor_kind, entry.actor, entry.account_sid, entry.verb)
    yield from (entry.kind_of_object, entry.object_name, entry.object_id, entry.what, entry.ip, entry.request_id)
