"""Find a number: every call to it and why, what was recorded, and that it is never called again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from accounts.audited_pages import actor
from accounts.models import Account, Role
from console import number_text, numbers, stops
from console.numbers import Found
from console.stops import Accounts
from console.views.pages import Pages, accounts_of, operated
from contacts import do_not_call
from contacts.models import DoNotCall
from core import clocks
from reports import recordings

# Accounts with a button each. Where there are more, one is chosen from a list.
MOST_BUTTONS = 3


class NumberPages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("number/", view(require_safe(self.number)), name="find_number"),
            path("number/recording/<uuid:pk>/", view(require_safe(self.recording)), name="hear_recording"),
            path("number/never/", view(require_POST(self.never)), name="never_call"),
        ]

    def number(self, request: HttpRequest) -> HttpResponse:
        accounts, text, now = accounts_of(request, Role.VIEWER), request.GET.get("q", "").strip(), clocks.now()
        found = [numbers.find(number, accounts) for number in numbers.readings(text, accounts)]
        called = [one for one in found if one.calls or one.legs or one.listings or one.lists]
        mine = operated(request)
        shown = [_shown(one, mine, now) for one in called or found[:1]]
        context = {"text": text, "found": shown, "most_buttons": MOST_BUTTONS, "most_calls": numbers.MOST_CALLS}
        return self.page(request, "console/number.html", "Find a number", **context)

    def recording(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Let a person hear a recording of ours, and record who did."""
        recording = numbers.recording(pk, accounts_of(request, Role.VIEWER))
        if recording is None:
            raise Http404
        return recordings.send(recording, actor(request))

    def never(self, request: HttpRequest) -> HttpResponseBase:
        """Put a number on the do-not-call list of an account that the person operates."""
        accounts, number = accounts_of(request, Role.OPERATOR), request.POST.get("number", "")
        account = get_object_or_404(
            stops.of_accounts(Account.objects.all(), accounts, "pk"),
            sid=request.POST.get("account", "").replace("\0", ""),
        )
        if numbers.readings(number, accounts) != [number]:
            messages.error(request, "Nothing was done: this is not a telephone number in E.164.")
        else:
            do_not_call.add(account, [number], source=DoNotCall.Source.ADMIN, actor=actor(request))
            messages.success(request, f"{number} will never be called again by {account.sid}.")
        return redirect(f"{reverse('admin:find_number')}?{urlencode({'q': number})}")


def _shown(found: Found, operated: Accounts, now: datetime) -> dict[str, Any]:
    """Return a number as the page shows it, with the accounts for which the person may list it and that don't yet."""
    listed = {sid for sid, _ in found.listings}
    own = [one for one in found.callers if (operated is None or one.pk in operated) and one.sid not in listed]
    return {
        "found": found,
        "summary": number_text.summary(found, now),
        "as_text": number_text.of(found, now),
        "may_list": own,
    }
