"""Now: what happens at this moment, and stopping all of it."""

from collections.abc import Callable, Collection
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from accounts.admin_kit import reach
from accounts.audited_pages import actor
from accounts.models import Role
from console import now, stops, zones
from console.models import CallingStop
from console.stops import Stopped
from console.views.pages import Pages, accounts_of, operated
from core import clocks

# Refusals that a message spells out.
MOST_REFUSALS = 10


class NowPages(Pages):
    def __init__(self, site: AdminSite, server_problems: Callable[[], Collection[str]]) -> None:
        super().__init__(site)
        self._server_problems = server_problems

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("now/", view(require_safe(self.now)), name="now"),
            path("now/live/", view(require_safe(self.live)), name="now_live"),
            path("now/stop/", view(self.stop), name="stop_calling"),
            path("now/resume/<int:pk>/", view(require_POST(self.resume)), name="resume_calling"),
        ]

    def now(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, "console/now.html", "Now", **self._look(request))

    def live(self, request: HttpRequest) -> HttpResponse:
        """Return the part of "Now" that changes by itself."""
        return TemplateResponse(request, "console/live.html", self._look(request))

    def _look(self, request: HttpRequest) -> dict[str, Any]:
        accounts, at = accounts_of(request, Role.VIEWER), clocks.now()
        problems = self._server_problems if reach(request).is_over_the_server else None
        may_operate = operated(request)
        may_stop = may_operate is None or bool(may_operate)
        return {
            "now": now.look(accounts, at, problems),
            "zone": zones.zone_of(accounts),
            "stops": stops.offered(may_operate, at) if may_stop else [],
            "may_stop": may_stop,
            "operated": may_operate,
        }

    def stop(self, request: HttpRequest) -> HttpResponseBase:
        """Ask, and once the form is sent stop calling for all accounts that the person operates."""
        accounts = accounts_of(request, Role.OPERATOR)
        if request.method != "POST":
            consequence = stops.consequence(accounts)
            return self.page(request, "console/stop.html", "Stop calling?", consequence=consequence)
        hang_up = request.POST.get("hang_up") == "1"
        done = stops.stop(accounts, actor=actor(request), now=clocks.now(), hang_up=hang_up)
        return self._told(request, done, "paused")

    def resume(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Resume what a stop has paused, as far as nobody has decided otherwise since."""
        accounts = accounts_of(request, Role.OPERATOR)
        stop = get_object_or_404(CallingStop, pk__in=stops.stopped(accounts).filter(stop=pk).values("stop"))
        if stop.pk not in {offered.pk for offered, _ in stops.offered(accounts, clocks.now())}:
            messages.warning(request, "Nothing was done: somebody has resumed these campaigns already, or ended them.")
            return redirect("admin:now")
        return self._told(request, stops.resume(stop, accounts, actor=actor(request), now=clocks.now()), "resumed")

    def _told(self, request: HttpRequest, done: Stopped, past: str) -> HttpResponseBase:
        told = f"{done.done:,} campaign{'' if done.done == 1 else 's'} {past}."
        if not done.done and not done.refusals:
            told = f"No campaign was running any more: nothing was {past}."
        if done.hung_up:
            told += f" The carriers were asked to end {done.hung_up:,} call{'' if done.hung_up == 1 else 's'}."
        if done.go_on:
            told += f" {stops.said_of(done.go_on)}"
        if done.refusals:
            told += f" {len(done.refusals)} refused: {'; '.join(done.refusals[:MOST_REFUSALS])}."
        messages.add_message(request, messages.WARNING if done.refusals else messages.SUCCESS, told)
        return redirect("admin:now")
