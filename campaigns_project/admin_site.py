"""The admin's site: no page without `AccountRows`."""

from typing import Any

from django.contrib.admin import AdminSite

from accounts.admin_kit import AccountPage


class Site(AdminSite):
    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Give pages of other packages to the server's administrators alone: such pages know no accounts."""
        page: Any = admin_class or AccountPage
        if not issubclass(page, AccountPage):
            page = type(page.__name__, (AccountPage, page), {"__module__": page.__module__})
        super().register(model_or_iterable, page, **options)
