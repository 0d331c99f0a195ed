"""The admin pages of contacts, lists and CSV uploads; that of the do-not-call list is in `do_not_call_admin`.

They are read-only: the API creates, fills and deletes lists.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts.admin_kit import LargeTableAdmin, ReadOnlyAdmin
from contacts import do_not_call_admin, lists  # noqa: F401 -- do_not_call_admin registers its page
from contacts.models import Contact, ContactList, CsvPiece, CsvUpload, ListEntry, RejectedRow
from core.admin_kit import NOTHING, WordSearch, badge, link
from core.ids import wire_id

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class NumberSearch(_ModelAdmin):
    """Searches by the whole number only: a search for a part of one would read the whole table.

    number_path: the query path from a row to its number.
    """

    number_path = "number"
    search_help_text = "The whole number, with the country code."

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (self.number_path,)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (queryset.filter(**{self.number_path: as_e164(search_term)}) if search_term else queryset), False


def as_e164(text: str) -> str:
    """Return `+91 98100-12345` or `919810012345` as rows have it, `+919810012345`."""
    return "+" + re.sub(r"[^0-9]", "", text)


@admin.register(Contact)
class ContactAdmin(NumberSearch, LargeTableAdmin):
    account_path = "account"
    list_display = ("number", "account", "first_name", "last_name", "company_name", "tag", "created_at")
    list_select_related = ("account",)
    fields = (
        "number",
        "account",
        "first_name",
        "last_name",
        "company_name",
        "email",
        "tag",
        "time_zone",
        "consent_date",
        "consent_source",
        "consent_scope",
        "custom",
        "in_lists",
        "created_at",
        "updated_at",
    )

    @admin.display(description="lists")
    def in_lists(self, contact: Contact) -> SafeString | str:
        shown = ((link(contact_list),) for contact_list in lists.of_contacts([contact.pk])[contact.pk])
        return format_html_join(", ", "{}", shown) or NOTHING


@admin.register(ContactList)
class ContactListAdmin(WordSearch, ReadOnlyAdmin):
    account_path = "account"
    list_display = ("name", "account", "type", "entries", "tag", "created_at")
    list_filter = ("type", "account")
    list_select_related = ("account",)
    # Each row's entries are counted, up to half a million: a page of 25 stays quick.
    list_per_page = 25
    search_fields = ("name", "account__sid")
    ordering = ("-created_at", "-pk")
    fields = (
        "name",
        "account",
        "type",
        "columns",
        "allows_blanks",
        "entries",
        "tag",
        "list_sid",
        "created_at",
        "updated_at",
    )

    def prepare(self, rows: Iterable[ContactList]) -> None:
        counted = lists.sizes([row.pk for row in rows])
        for row in rows:
            cast(Any, row).size = counted[row.pk]

    @admin.display(description="entries")
    def entries(self, row: ContactList) -> int:
        size: int | None = getattr(row, "size", None)
        return lists.sizes([row.pk])[row.pk] if size is None else size

    @admin.display(description="list SID")
    def list_sid(self, row: ContactList) -> str:
        return wire_id(row.pk)


@admin.register(ListEntry)
class ListEntryAdmin(NumberSearch, LargeTableAdmin):
    number_path = "contact__number"
    account_path = "contact_list__account"
    list_display = ("contact", "contact_list", "values")
    list_select_related = ("contact", "contact_list__account")
    fields = ("contact", "contact_list", "values", "upload_number", "line")


@admin.register(CsvUpload)
class CsvUploadAdmin(WordSearch, ReadOnlyAdmin):
    account_path = "account"
    list_display = (
        "file_name",
        "account",
        "contact_list",
        "state",
        "rows_loaded",
        "rows_duplicate",
        "rows_rejected",
        "created_at",
    )
    list_filter = ("status", "account")
    list_select_related = ("account", "contact_list")
    search_fields = ("file_name", "contact_list__name")
    ordering = ("-created_at", "-pk")
    fieldsets = (
        (
            None,
            {"fields": ("file_name", "account", "contact_list", "number", "state", "error", "size_bytes", "columns")},
        ),
        ("Rows", {"fields": ("rows_total", "rows_loaded", "rows_duplicate", "rows_rejected", "rows_replaced")}),
        (
            "Progress",
            {"fields": ("bytes_read", "lines_read", "is_held", "heard_at", "idle_starts", "created_at", "ended_at")},
        ),
    )

    @admin.display(description="state")
    def state(self, upload: CsvUpload) -> SafeString:
        return badge(upload.status, upload.get_status_display())


@admin.register(CsvPiece)
class CsvPieceAdmin(LargeTableAdmin):
    """Shows which parts of files wait to be loaded, without their content."""

    account_path = "upload__account"
    list_display = ("upload", "position", "size")
    list_select_related = ("upload__account",)
    fields = ("upload", "position", "size")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CsvPiece]:
        sized: QuerySet[CsvPiece] = super().get_queryset(request).defer("content").annotate(bytes=Length("content"))
        return sized

    @admin.display(description="bytes")
    def size(self, piece: Any) -> int:
        return int(piece.bytes)


@admin.register(RejectedRow)
class RejectedRowAdmin(LargeTableAdmin):
    account_path = "upload__account"
    list_display = ("upload", "line", "reason", "row")
    list_select_related = ("upload__account",)
    search_fields = ("reason",)
    fields = ("upload", "line", "reason", "row")

    @admin.display(description="row")
    def row(self, rejected: RejectedRow) -> str:
        return " | ".join(rejected.cells)
