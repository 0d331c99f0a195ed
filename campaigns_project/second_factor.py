"""The second factor of people in the admin: a code of an authenticator app, or one of the recovery codes.

Whoever has set one up is asked for it at each sign-in, and whoever has a role of SECOND_FACTOR_ROLES must set one up.
"""

from typing import Any

import django_otp
import segno
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django_otp.util import random_hex

from accounts import second_factors
from accounts.audited_pages import actor
from accounts.models import Membership, Role
from accounts.second_factor_devices import AuthenticatorApp
from core.encryption import Secret, UnreadableSecret

# In the session, which is in the database: the key of a device that is being set up.
NEW_KEY = "second_factor_key"
WRONG = "This code is wrong, or was used before. After each wrong one the next has to wait longer."
UNREADABLE = (
    "Codes of your app can't be checked, as the server's SECRET_KEY has changed. Enter a recovery code, or ask an"
    " administrator to reset your second factor."
)


def is_passed(user: Any) -> bool:
    """Tell whether the signed-in person may go on: with the second factor, or where none is needed.

    The database is asked once for an object of the person, and each request has its own: a page asks three times.
    """
    if user.is_verified():
        return True
    if not hasattr(user, "needs_second_factor"):
        user.needs_second_factor = second_factors.has_one(user) or is_required_of(user)
    return not user.needs_second_factor


def is_required_of(user: Any) -> bool:
    """Tell whether a role of the person is one that must have a second factor. A superuser is an administrator."""
    required = settings.SECOND_FACTOR_ROLES
    if not required:
        return False
    if user.is_superuser:
        return Role.ADMINISTRATOR.value in required
    return Membership.objects.filter(user=user, role__in=required).exists()


@never_cache
def enter(request: HttpRequest) -> HttpResponse:
    """Ask for a code after the password."""
    if not _has_signed_in(request):
        return _to_login(request)
    if not second_factors.has_one(request.user):
        return HttpResponseRedirect(reverse("admin:second_factor_set_up"))
    explanation = "Enter the code that your authenticator app shows, or one of your recovery codes."
    if request.method != "POST":
        return _page(request, "Second factor", explanation)
    try:
        device = second_factors.use(request.user, _code(request))
    except UnreadableSecret:
        return _page(request, "Second factor", explanation, error=UNREADABLE)
    if device is None:
        return _page(request, "Second factor", explanation, error=WRONG)
    _pass(request, device)
    return HttpResponseRedirect(_next(request))


@never_cache
def set_up(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator app. It replaces one that was set up before, after a code of that one."""
    user: Any = request.user
    if not _has_signed_in(request):
        return _to_login(request)
    if second_factors.has_one(user) and not user.is_verified():
        return HttpResponseRedirect(reverse("admin:second_factor"))
    app = _new_app(request)
    if request.method != "POST":
        return _set_up_page(request, app)
    if not app.shows(_code(request)):
        return _set_up_page(request, app, error=WRONG)
    codes = second_factors.set_up(app, actor=actor(request))
    del request.session[NEW_KEY]
    _pass(request, app)
    return _page(
        request,
        "Recovery codes",
        "The second factor is set up. Keep these codes, which are never shown again: each lets you in once without the"
        " app.",
        codes=codes,
    )


def _new_app(request: HttpRequest) -> AuthenticatorApp:
    """Return the app that is being set up. Until a code of it has come, the session alone has its key, encrypted."""
    if NEW_KEY not in request.session:
        request.session[NEW_KEY] = Secret.of(random_hex(20)).ciphertext
    key = Secret(request.session[NEW_KEY])
    return AuthenticatorApp(user=request.user, name="authenticator app", key=key, confirmed=True)


def _set_up_page(request: HttpRequest, app: AuthenticatorApp, **context: Any) -> HttpResponse:
    picture = segno.make(app.config_url, error="m").svg_data_uri(scale=4)
    explanation = "Scan this picture with an authenticator app, then enter the code that the app shows."
    return _page(
        request,
        "Set up a second factor",
        explanation,
        picture=picture,
        secret=app.secret,
        **context,
    )


def _page(request: HttpRequest, title: str, explanation: str, **context: Any) -> HttpResponse:
    shown = {**admin.site.each_context(request), "title": title, "explanation": explanation, **context}
    return render(request, "admin/second_factor.html", shown)


def _pass(request: HttpRequest, device: Any) -> None:
    """Let this session in, under a new key: one that was known before must not be enough."""
    request.session.cycle_key()
    django_otp.login(request, device)


def _code(request: HttpRequest) -> str:
    return "".join(str(request.POST.get("code", ""))[:64].split()).lower()


def _has_signed_in(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_staff", False))


def _to_login(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('admin:login')}?{urlencode({'next': request.get_full_path()})}")


def _next(request: HttpRequest) -> str:
    wanted = str(request.GET.get("next", ""))
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else resolve_url("admin:index")
