"""People and audit: who may do what, a colleague made in a form of four fields, and who did what."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from accounts.admin_kit import reach
from accounts.audit_entry import AuditEntry
from accounts.models import Account, Role
from console.stops import of_accounts
from console.views.pages import Pages, accounts_of
from console.zones import zone_of

# People and entries of the page; the tables behind it have all, with filters.
MOST_PEOPLE, MOST_ENTRIES = 100, 30
# Accounts that are offered by name. Where there are more, the table's own form finds them.
MOST_OFFERED = 500


class PeoplePages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        return [path("people/", self.site.admin_view(require_safe(self.show)), name="people")]

    def show(self, request: HttpRequest) -> HttpResponse:
        accounts, is_over_the_server = accounts_of(request, Role.VIEWER), reach(request).is_over_the_server
        context: dict[str, Any] = {
            "entries": _entries(request)[:MOST_ENTRIES],
            "zone": zone_of(accounts),
            "is_over_the_server": is_over_the_server,
        }
        if is_over_the_server:
            people = list(_people(request)[: MOST_PEOPLE + 1])
            context |= {
                "people": people[:MOST_PEOPLE],
                "has_more": len(people) > MOST_PEOPLE,
                "accounts": list(Account.objects.order_by("sid")[:MOST_OFFERED]),
                "roles": Role.choices,
            }
        return self.page(request, "console/people.html", "People and audit", **context)


def _people(request: HttpRequest) -> QuerySet[Any]:
    """Return people as their table shows them: superusers only to superusers."""
    people = (
        get_user_model().objects.filter(is_staff=True).order_by("username").prefetch_related("memberships__account")
    )
    return people if getattr(request.user, "is_superuser", False) else people.filter(is_superuser=False)


def _entries(request: HttpRequest) -> QuerySet[AuditEntry]:
    """Return what was done in the person's accounts, the newest first; on the server for its administrators alone."""
    entries = of_accounts(AuditEntry.objects.order_by("-pk"), accounts_of(request, Role.VIEWER), "account")
    return entries if reach(request).is_over_the_server else entries.exclude(account=None)
