"""The admin's site: no page without `AccountRows`, and limits on wrong passwords."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.admin_kit import AccountPage
from campaigns_project.sign_in import LimitedSignIn


class Site(AdminSite):
    login_form = LimitedSignIn

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Respond with 429 where the form refuses for too many wrong passwords."""
        page = super().login(request, extra_context)
        form = (page.context_data or {}).get("form") if isinstance(page, TemplateResponse) else None
        if form is not None and form.retry_after:
            page.status_code = 429
            page.headers["Retry-After"] = str(form.retry_after)
        return page

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Give pages of other packages to the server's administrators alone: such pages know no accounts."""
        page: Any = admin_class or AccountPage
        if not issubclass(page, AccountPage):
            page = type(page.__name__, (AccountPage, page), {"__module__": page.__module__})
        super().register(model_or_iterable, page, **options)
