"""The console's pages. They show what the person's memberships allow, and change things as the API does."""

from collections.abc import Callable, Collection

from django.contrib.admin import AdminSite
from django.urls import URLPattern

from console.views.now import NowPages
from console.views.number import NumberPages


class Console:
    """All pages of the console, within the admin's site and behind its sign-in.

    Args:
        server_problems: what is wrong with the server itself, in sentences for its administrators.
    """

    def __init__(self, site: AdminSite, server_problems: Callable[[], Collection[str]]) -> None:
        self._groups = (NowPages(site, server_problems), NumberPages(site))

    @property
    def urls(self) -> list[URLPattern]:
        return [pattern for group in self._groups for pattern in group.urls]
