"""System: is the server well, its trunks with a test, workers, queues, periodic tasks, and the way to its tables."""

from collections.abc import Sequence

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.admin_kit import reach
from accounts.audited_pages import actor
from accounts.models import Trunk
from console import server_figures
from console.server_figures import Readiness
from console.views.pages import Pages
from dialer import trunk_check
from dialer.trunk_check import Step


class SystemPages(Pages):
    """For administrators of the server alone: trunks, workers and errors are nobody else's."""

    def __init__(self, site: AdminSite, readiness: Readiness) -> None:
        super().__init__(site)
        self._readiness = readiness

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("system/", view(require_safe(self.show)), name="system"),
            path("system/trunks/<int:pk>/test/", view(require_POST(self.test)), name="system_test_trunk"),
        ]

    def show(self, request: HttpRequest) -> HttpResponse:
        _require_server(request)
        return self._page(request)

    def test(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Check a trunk as `manage.py check_trunk` does, which rings nobody, and show each step."""
        _require_server(request)
        trunk = get_object_or_404(Trunk, pk=pk)
        steps = list(trunk_check.check(trunk))
        audit.record(actor(request), audit.Verb.RAN, trunk, what="check_trunk")
        return self._page(request, trunk, steps)

    def _page(self, request: HttpRequest, tested: Trunk | None = None, steps: Sequence[Step] = ()) -> HttpResponse:
        context = {
            "problems": self._readiness.problems(),
            "processes": server_figures.processes(),
            "trunks": server_figures.trunks(),
            "tasks": server_figures.periodic_tasks(),
            "figures": server_figures.figures(),
            "tested": tested,
            "steps": steps,
        }
        return self.page(request, "console/system.html", "System", **context)


def _require_server(request: HttpRequest) -> None:
    if not reach(request).is_over_the_server:
        raise PermissionDenied
