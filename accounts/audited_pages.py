"""Pages of the admin whose changes leave audit entries instead of Django's own log, and that show those of a row."""

from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.audit_entry import AuditEntry
from core.admin_kit import CappedPaginator, LocalTimes, local

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

HISTORY_ROWS = 100


def actor(request: HttpRequest) -> Actor:
    """Return the person who sent the request."""
    return audit.of_user(request.user)


class AuditedPage(_ModelAdmin):
    """Records what Django would log, in the transaction of the change.

    A page whose rows are changed by a function that takes the actor overrides the method here with one that does
    nothing, so that each change has one entry.

    Attributes:
        told_values: columns of the row, or of an inline's row, whose values an entry tells. Of all others it has the
            name alone: they may be secrets.
    """

    told_values: ClassVar[frozenset[str]] = frozenset()

    # Writing -----------------------------------------------------------------------------------------------------

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Describe the change of the row itself; rows of inlines have entries of their own."""
        return "" if add else self._told(form)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        audit.record(actor(request), Verb.CREATED, obj, what=str(message))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record a change. Without a message nothing was changed: a form was saved as it was."""
        if message:
            audit.record(actor(request), Verb.CHANGED, obj, what=str(message))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        audit.record(actor(request), Verb.DELETED, *queryset)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save the rows of an inline, and record them."""
        gone = [_subject(deleted.instance) for deleted in formset.deleted_forms] if formset.can_delete else []
        super().save_formset(request, form, formset, change)
        who = actor(request)
        told = {row_form.instance.pk: self._told(row_form) for row_form in formset.forms}
        audit.record(who, Verb.CREATED, *formset.new_objects)
        audit.record_each(who, Verb.CHANGED, ((row, told[row.pk]) for row, _ in formset.changed_objects))
        audit.record(who, Verb.DELETED, *gone)

    def _told(self, form: Any) -> str:
        return "; ".join(self._told_field(form, name) for name in form.changed_data)

    def _told_field(self, form: Any, name: str) -> str:
        label = str(form.fields[name].label or name) if name in form.fields else name
        if name not in self.told_values:
            return label
        return f"{label}: {form.initial.get(name)} → {form.cleaned_data.get(name)}"

    # Showing -----------------------------------------------------------------------------------------------------

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Show who did what to the row: here, over the API and on the command line."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        zone = self.zone_of(row) if isinstance(self, LocalTimes) else UTC
        entries = CappedPaginator(_entries_of(row).order_by("-pk"), HISTORY_ROWS).get_page(request.GET.get("p"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Who did what: {row}",
            "subtitle": f"Times in {zone}",
            "entries": [(local(entry.at, zone), entry) for entry in entries],
            "page": entries,
            "module_name": capfirst(str(self.opts.verbose_name_plural)),
            "object": row,
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/object_history.html", context)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Link the history of a row that has one."""
        row = context.get("original")
        context["has_entries"] = row is not None and _entries_of(row).exists()
        return super().render_change_form(request, context, *args, **kwargs)


def _entries_of(row: Any) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(object_kind=row._meta.label_lower, object_id=str(row.pk))


def _subject(row: Any) -> Subject:
    """Describe a row that is about to lose its key."""
    return Subject(row._meta.model, str(row), getattr(row, "account", None), str(row.pk))
