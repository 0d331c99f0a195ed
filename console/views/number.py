"""Find a number: every call to it, and that it is never called again."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from accounts.audited_pages import actor
from accounts.models import Account, Role
from console import numbers, stops
from console.views.pages import Pages, accounts_of, operated
from contacts import do_not_call
from contacts.models import DoNotCall


class NumberPages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("number/", view(require_safe(self.number)), name="find_number"),
            path("number/never/", view(require_POST(self.never)), name="never_call"),
        ]

    def number(self, request: HttpRequest) -> HttpResponse:
        accounts, text = accounts_of(request, Role.VIEWER), request.GET.get("q", "").strip()
        found = [numbers.find(number, accounts) for number in numbers.readings(text, accounts)]
        called = [one for one in found if one.calls or one.listings or one.lists]
        context = {"text": text, "found": called or found[:1], "operated": operated(request)}
        return self.page(request, "console/number.html", "Find a number", **context)

    def never(self, request: HttpRequest) -> HttpResponseBase:
        """Put a number on the do-not-call list of an account that the person operates."""
        accounts, number = accounts_of(request, Role.OPERATOR), request.POST.get("number", "")
        account = get_object_or_404(
            stops.of_accounts(Account.objects.all(), accounts, "pk"), sid=request.POST.get("account", "")
        )
        if numbers.readings(number, accounts) != [number]:
            messages.error(request, "Nothing was done: this is not a telephone number in E.164.")
        else:
            do_not_call.add(account, [number], source=DoNotCall.Source.ADMIN, actor=actor(request))
            messages.success(request, f"{number} will never be called again by {account.sid}.")
        return redirect(f"{reverse('admin:find_number')}?{urlencode({'q': number})}")
