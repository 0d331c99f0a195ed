"""The admin's site: no page without `AccountRows` and audit entries, and limits on wrong passwords."""

from contextlib import suppress
from functools import wraps
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode

from accounts import audit
from accounts.admin_kit import AccountPage, ForeignPage, reach
from accounts.audit import Verb
from accounts.audited_pages import actor
from accounts.models import Role
from api.http.parsers import discard
from campaigns_project import error_pages, flower_page, readiness, second_factor
from campaigns_project.sign_in import LimitedSignIn
from console.views import Console


class Site(AdminSite):
    login_form = LimitedSignIn
    # The menu of the console stands on every page, and its engine room lists all tables.
    enable_nav_sidebar = False

    @property
    def site_url(self) -> str:  # type: ignore[override]
        return f"{settings.SCRIPT_NAME}/docs/"

    def has_permission(self, request: HttpRequest) -> bool:
        """Let nobody in without the second factor, where one is needed."""
        return super().has_permission(request) and second_factor.is_passed(request.user)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Tell people whose session has ended what has not been done, and those who open the address of a button."""
        guarded = super().admin_view(view, cacheable)

        @wraps(guarded)
        def told(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            # No text of a database has it, so it is no part of an address of ours.
            if "\0" in request.path_info or any("\0" in value for _, values in request.GET.lists() for value in values):
                raise BadRequest("a NUL in the address")
            is_logout = request.path == reverse("admin:logout")
            if request.method == "POST" and not (request.user.is_authenticated or is_logout):
                messages.warning(request, "Nothing was done: your session has ended. Sign in, and do it again.")
                with suppress(OSError):  # of a large file, or the browser shows an error of its own
                    discard(cast(Any, request))
                return redirect_to_login(_sent_from(request), reverse("admin:login"))
            return error_pages.in_place_of(request, guarded(request, *args, **kwargs))

        return told

    def get_urls(self) -> list[Any]:
        return [
            path("second-factor/", second_factor.enter, name="second_factor"),
            path("second-factor/set-up/", second_factor.set_up, name="second_factor_set_up"),
            *Console(self, readiness).urls,
            path("flower/", self.admin_view(flower_page.flower), name="flower"),
            path("flower/<path:rest>", self.admin_view(flower_page.flower)),
            path("engine-room/", self.admin_view(self.engine_room), name="engine_room"),
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """List the tables when a page shows them: they are in the context of every page, and few pages show them."""
        return SimpleLazyObject(lambda: super(Site, self).get_app_list(request, app_label))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Lead to "Now", or say that the person has no role yet."""
        if reach(request).may_anywhere(Role.VIEWER):
            return redirect("admin:now")
        return super().index(request, {"title": "You have no role yet", **(extra_context or {})})

    def engine_room(self, request: HttpRequest) -> HttpResponse:
        """List the tables that the person may see."""
        if not reach(request).may_anywhere(Role.VIEWER):
            raise PermissionDenied
        return super().index(request, {"title": "Engine room"})

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Ask for the second factor after the password. Too many wrong passwords are responded to with 429."""
        if request.method == "GET" and super().has_permission(request) and not second_factor.is_passed(request.user):
            wanted = request.GET.get("next", "")
            query = f"?{urlencode({'next': wanted})}" if wanted else ""
            return HttpResponseRedirect(reverse("admin:second_factor") + query)
        page = super().login(request, extra_context)
        form = (page.context_data or {}).get("form") if isinstance(page, TemplateResponse) else None
        if form is not None and form.retry_after:
            page.status_code = 429
            page.headers["Retry-After"] = str(form.retry_after)
        return page

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Record that the own password was changed, which the page confirms by a redirect."""
        with transaction.atomic():
            page = super().password_change(request, extra_context)
            if request.method == "POST" and page.status_code == 302:
                audit.record(actor(request), Verb.CHANGED, cast(Any, request.user), what="password")
        return page

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Give pages of other packages to the server's administrators alone: such pages know no accounts."""
        page: Any = admin_class or AccountPage
        if not issubclass(page, AccountPage):
            page = type(page.__name__, (ForeignPage, page), {"__module__": page.__module__})
        super().register(model_or_iterable, page, **options)


def _sent_from(request: HttpRequest) -> str:
    """Return the page of ours with the button that was pressed; the first page where the browser does not say."""
    sent_from = urlsplit(request.headers.get("Referer", ""))
    is_ours = sent_from.netloc == request.get_host() and sent_from.path.startswith(reverse("admin:index"))
    return urlunsplit(("", "", sent_from.path, sent_from.query, "")) if is_ours else reverse("admin:index")
