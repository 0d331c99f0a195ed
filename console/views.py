"""The console's pages. They show what the person's memberships allow, and change things as the API does."""

from collections.abc import Callable, Collection
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from accounts.admin_kit import reach
from accounts.audited_pages import actor
from accounts.models import Account, Role
from console import now, numbers, stops
from console.models import CallingStop
from console.stops import Accounts, Stopped
from contacts import do_not_call
from contacts.models import DoNotCall
from core import clocks

# Refusals that a message spells out.
MOST_REFUSALS = 10


class Console:
    """The pages, within the admin's site and behind its sign-in.

    Args:
        server_problems: what is wrong with the server itself, in sentences for its administrators.
    """

    def __init__(self, site: AdminSite, server_problems: Callable[[], Collection[str]]) -> None:
        self._site = site
        self._server_problems = server_problems

    @property
    def urls(self) -> list[URLPattern]:
        view = self._site.admin_view
        return [
            path("now/", view(require_safe(self.now)), name="now"),
            path("now/live/", view(require_safe(self.live)), name="now_live"),
            path("now/stop/", view(self.stop), name="stop_calling"),
            path("now/resume/<int:pk>/", view(require_POST(self.resume)), name="resume_calling"),
            path("number/", view(require_safe(self.number)), name="find_number"),
            path("number/never/", view(require_POST(self.never)), name="never_call"),
        ]

    # Now -------------------------------------------------------------------------------------------------------------

    def now(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, "console/now.html", "Now", **self._look(request))

    def live(self, request: HttpRequest) -> HttpResponse:
        """Return the part of "Now" that changes by itself."""
        return TemplateResponse(request, "console/live.html", self._look(request))

    def _look(self, request: HttpRequest) -> dict[str, Any]:
        accounts, at = _accounts(request, Role.VIEWER), clocks.now()
        problems = self._server_problems if reach(request).is_over_the_server else None
        operated = _operated(request)
        may_stop = operated is None or bool(operated)
        return {
            "now": now.look(accounts, at, problems),
            "stops": stops.offered(operated, at) if may_stop else [],
            "may_stop": may_stop,
        }

    def stop(self, request: HttpRequest) -> HttpResponseBase:
        """Ask, and once the form is sent stop calling for all accounts that the person operates."""
        accounts = _accounts(request, Role.OPERATOR)
        if request.method != "POST":
            consequence = stops.consequence(accounts)
            return self._page(request, "console/stop.html", "Stop calling?", consequence=consequence)
        done = stops.stop(accounts, actor=actor(request), now=clocks.now())
        return self._told(request, done, "paused")

    def resume(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        accounts = _accounts(request, Role.OPERATOR)
        offered = dict(stops.offered(accounts, clocks.now()))
        stop = get_object_or_404(CallingStop.objects.filter(pk__in=[stop.pk for stop in offered]), pk=pk)
        return self._told(request, stops.resume(stop, accounts, actor=actor(request), now=clocks.now()), "resumed")

    def _told(self, request: HttpRequest, done: Stopped, past: str) -> HttpResponseBase:
        told = f"{done.done} campaign{'' if done.done == 1 else 's'} {past}."
        if done.refusals:
            told += f" {len(done.refusals)} refused: {'; '.join(done.refusals[:MOST_REFUSALS])}."
        messages.add_message(request, messages.WARNING if done.refusals else messages.SUCCESS, told)
        return redirect("admin:now")

    # Find a number ---------------------------------------------------------------------------------------------------

    def number(self, request: HttpRequest) -> HttpResponse:
        accounts, text = _accounts(request, Role.VIEWER), request.GET.get("q", "").strip()
        found = [numbers.find(number, accounts) for number in numbers.readings(text, accounts)]
        called = [one for one in found if one.calls or one.listings or one.lists]
        context = {"text": text, "found": called or found[:1], "operated": _operated(request)}
        return self._page(request, "console/number.html", "Find a number", **context)

    def never(self, request: HttpRequest) -> HttpResponseBase:
        """Put a number on the do-not-call list of an account that the person operates."""
        accounts, number = _accounts(request, Role.OPERATOR), request.POST.get("number", "")
        account = get_object_or_404(
            stops.of_accounts(Account.objects.all(), accounts, "pk"), sid=request.POST.get("account", "")
        )
        if numbers.readings(number, accounts) != [number]:
            messages.error(request, "Nothing was done: this is not a telephone number in E.164.")
        else:
            do_not_call.add(account, [number], source=DoNotCall.Source.ADMIN, actor=actor(request))
            messages.success(request, f"{number} will never be called again by {account.sid}.")
        return redirect(f"{reverse('admin:find_number')}?{urlencode({'q': number})}")

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        return TemplateResponse(request, template, {**self._site.each_context(request), "title": title, **context})


def _accounts(request: HttpRequest, role: Role) -> Accounts:
    """Return the accounts where the person has the role; None for all. Raises PermissionDenied where there are none."""
    accounts = reach(request).accounts_with(role)
    if accounts is not None and not accounts:
        raise PermissionDenied
    return accounts


def _operated(request: HttpRequest) -> Accounts:
    return reach(request).accounts_with(Role.OPERATOR)
