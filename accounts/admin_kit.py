"""Admin pages that show and change only the rows of the accounts that the person is a member of.

Every page and inline is built on `AccountRows`, and names its `account_path`. `campaigns_project.admin_site` puts it
under the pages of other packages too, so a page that says nothing of accounts is for the administrators of the server.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, tzinfo
from functools import wraps
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import transaction
from django.db.models import Field, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts import audit
from accounts.audit import Verb
from accounts.audited_pages import AuditedPage, actor
from accounts.memberships import Reach, reach_of
from accounts.models import Role
from core.admin_kit import CappedPaginator, LocalTimes, ReadOnly

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _Base = BaseModelAdmin[Any]
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _Base = BaseModelAdmin
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline


def reach(request: HttpRequest) -> Reach:
    """Return what the person who sent the request may do; one query for each request."""
    if not hasattr(request, "reach"):
        cast(Any, request).reach = reach_of(request.user)
    return cast(Reach, cast(Any, request).reach)


class AccountRows(_Base):
    """Rows of the person's accounts, for the roles that the page asks for.

    Permissions of Django's own, by user or group, mean nothing here: they know no accounts.

    Attributes:
        account_path: the query path from a row to its account, such as `campaign__account`; "pk" for the account
            itself. None: the rows belong to the server, and only administrators of all accounts have them.
        roles: the role that a verb (view, add, change, delete, or one of the page's own) asks for.
        server_verbs: what only administrators of all accounts do, though the rows belong to accounts.
        server_columns: what only they see.
    """

    account_path: str | None = None
    roles: ClassVar[dict[str, Role]] = {"view": Role.VIEWER}
    server_verbs: ClassVar[frozenset[str]] = frozenset()
    server_columns: ClassVar[frozenset[str]] = frozenset()

    # Rows --------------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.narrow(super().get_queryset(request), self.accounts_for(request, "view"))

    def narrow(self, rows: QuerySet[Any], accounts: set[int] | None) -> QuerySet[Any]:
        """Return those of the rows that belong to the accounts; None stands for all."""
        if accounts is None:
            return rows
        return rows.filter(**{f"{self.account_path}__in": accounts}) if self.account_path and accounts else rows.none()

    def accounts_for(self, request: HttpRequest, verb: str) -> set[int] | None:
        """Return the accounts over whose rows the person may use the verb; None for all."""
        mine = reach(request)
        if self.account_path is None or verb in self.server_verbs:
            return None if mine.is_over_the_server else set()
        return mine.accounts_with(self.roles.get(verb, Role.ADMINISTRATOR))

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> QuerySet[Any] | None:
        """Offer, and accept, only rows where the person may add what this page shows."""
        rows = super().get_field_queryset(db, db_field, request)
        page = self.page_of(db_field.remote_field.model)
        if page is None:
            return rows if reach(request).is_over_the_server else db_field.remote_field.model._default_manager.none()
        if rows is None:
            rows = db_field.remote_field.model._default_manager.all()
        return page.narrow(rows, _both(page.accounts_for(request, "view"), self.accounts_for(request, "add")))

    def page_of(self, model: Any) -> "AccountRows | None":
        return cast("AccountRows | None", self.admin_site._registry.get(model))

    # Columns -----------------------------------------------------------------------------------------------------

    def hides(self, request: HttpRequest, name: Any) -> bool:
        """Tell whether a column is not this person's: a column of the server, or a link to rows that are the server's.

        The name of a trunk says where others' calls go, too.
        """
        if not isinstance(name, str) or reach(request).is_over_the_server:
            return False
        if name in self.server_columns:
            return True
        try:
            field = self.model._meta.get_field(name)
        except FieldDoesNotExist:
            return False
        page = self.page_of(field.related_model) if isinstance(field, Field) and field.is_relation else None
        return page is not None and page.account_path is None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (title, {**options, "fields": self._shown_names(request, options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _shown_names(self, request: HttpRequest, names: Iterable[Any]) -> list[Any]:
        return [name for name in names if not self.hides(request, name)]

    # Permissions -------------------------------------------------------------------------------------------------

    def may(self, request: HttpRequest, verb: str, row: Any = None) -> bool:
        """Tell whether the person may use the verb on the row; without one, whether on any row at all."""
        accounts = self.accounts_for(request, verb)
        if accounts is None:
            return True
        if row is None or row.pk is None or self.account_path is None:
            return bool(accounts)
        return self._account_of(row) in accounts

    def _account_of(self, row: Any) -> int:
        found = attrgetter(str(self.account_path).replace("__", "."))(row)
        return int(found.pk if isinstance(found, Model) else found)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "delete", obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "view")


class AccountPage(AccountRows, AuditedPage):
    """A page of its own: its columns, filters, actions and addresses."""

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._shown_names(request, super().get_list_display(request))

    def get_list_filter(self, request: HttpRequest) -> Any:
        return [
            (name, VisibleRows) if self._is_relation(name) else name
            for name in self._shown_names(request, super().get_list_filter(request))
        ]

    def _is_relation(self, name: Any) -> bool:
        return isinstance(name, str) and bool(self.model._meta.get_field(name).is_relation)

    def get_actions(self, request: HttpRequest) -> Any:
        """Let each action refuse rows where the person may look only, and do all or nothing, with its entries."""
        actions: Any = super().get_actions(request)
        return {name: (self._guarded(action), name, description) for name, (action, _, description) in actions.items()}

    def _guarded(self, action: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(action)
        def guarded(page: AccountPage, request: HttpRequest, rows: QuerySet[Any]) -> Any:
            for verb in getattr(action, "allowed_permissions", ()):
                allowed = self.narrow(rows, self.accounts_for(request, verb))
                if allowed is not rows and rows.exclude(pk__in=allowed.values("pk")).exists():
                    raise PermissionDenied
            with transaction.atomic():
                return action(page, request, rows)

        return guarded

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponseBase:
        """Respond with 404, the same for a row of others and for one that does not exist."""
        raise Http404


class ForeignPage(AccountPage):
    """Put under the pages of other packages. Their actions log nothing: each is recorded by its name."""

    def _guarded(self, action: Callable[..., Any]) -> Callable[..., Any]:
        guarded = super()._guarded(action)

        @wraps(action)
        def recorded(page: ForeignPage, request: HttpRequest, rows: QuerySet[Any]) -> Any:
            chosen = list(rows)
            with transaction.atomic():
                response = guarded(page, request, rows)
                # A response is a question first. Django's own deletion records the rows itself.
                if response is None and action.__name__ != "delete_selected":
                    audit.record(actor(request), Verb.RAN, *chosen, what=action.__name__)
            return response

        return recorded


class VisibleRows(admin.RelatedFieldListFilter):
    """Offers the rows that the person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        page = model_admin.page_of(field.remote_field.model)
        return [(row.pk, str(row)) for row in page.get_queryset(request)] if page else []


class AccountTimes(LocalTimes):
    """Times by the clock of the row's account; UTC for rows of the server."""

    account_path: str | None

    def zone_of(self, row: Any) -> tzinfo:
        if self.account_path is None:
            return UTC
        account = attrgetter(self.account_path.replace("__", "."))(row)
        return cast(tzinfo, account.zone)


class PageAdmin(AccountTimes, AccountPage):
    """A page with local times. Counts only the rows that the filters leave, never the whole table beside them."""

    show_full_result_count = False
    list_per_page = 50

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._with_local_times(super().get_list_display(request))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        self.prepare(page.result_list)
        return page

    def prepare(self, rows: Iterable[Any]) -> None:
        """Load what a whole page of rows needs from elsewhere, in one query. Does nothing here."""


class ReadOnlyAdmin(ReadOnly, PageAdmin):
    """A read-only page of its own."""


class LargeTableAdmin(ReadOnlyAdmin):
    """A page for a table of many millions of rows: newest first by the key, no other order, no full count."""

    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-pk",)
    sortable_by = ()


class ReadOnlyInline(ReadOnly, AccountTimes, AccountRows, _TabularInline):
    """Read-only rows on the page of the row that they belong to."""

    extra = 0
    ordering: ClassVar[tuple[str, ...]] = ("pk",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Look at the person alone: obj is the row that these belong to, and its page has checked it."""
        return self.may(request, "view")


def _both(some: set[int] | None, others: set[int] | None) -> set[int] | None:
    if some is None or others is None:
        return others if some is None else some
    return some & others
