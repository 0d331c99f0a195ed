"""What every page of the console shares: whom it is for, and how it is drawn."""

from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern

from accounts.admin_kit import reach
from accounts.models import Account, Role
from console.stops import Accounts, of_accounts


class Pages:
    """A group of pages. A subclass lists its addresses in `urls`, each wrapped by `self.site.admin_view`."""

    def __init__(self, site: AdminSite) -> None:
        self.site = site

    @property
    def urls(self) -> list[URLPattern]:
        raise NotImplementedError

    def page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        return TemplateResponse(request, template, {**self.site.each_context(request), "title": title, **context})


def accounts_of(request: HttpRequest, role: Role) -> Accounts:
    """Return the accounts where the person has the role; None for all. Raises PermissionDenied where there are none."""
    accounts = reach(request).accounts_with(role)
    if accounts is not None and not accounts:
        raise PermissionDenied
    return accounts


def operated(request: HttpRequest) -> Accounts:
    """Return the accounts that the person operates, which may be none; None for all."""
    return reach(request).accounts_with(Role.OPERATOR)


def is_key(text: str) -> bool:
    """Tell whether a text that a client sent can be the key of a row."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def account_of(request: HttpRequest, sid: str, role: Role) -> Account:
    """Return the account of that SID.

    Raises:
        Http404: the person does not see it, or there is none: the response is the same.
        PermissionDenied: the person sees it, without the role.
    """
    seen = of_accounts(Account.objects.all(), accounts_of(request, Role.VIEWER), "pk")
    account: Account = get_object_or_404(seen, sid=sid)
    if not has_role(request, account, role):
        raise PermissionDenied
    return account


def has_role(request: HttpRequest, account: Account, role: Role) -> bool:
    accounts = reach(request).accounts_with(role)
    return accounts is None or account.pk in accounts
