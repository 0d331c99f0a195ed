"""The second factor of people in the admin: a code of an authenticator app, or one of the recovery codes.

Whoever has set one up is asked for it at each sign-in, and whoever has a role of SECOND_FACTOR_ROLES must set one up.
"""

from base64 import b32encode
from typing import Any

import django_otp
import segno
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

from accounts.models import Membership, Role

RECOVERY_CODES = 10
# In the session, which is in the database: the key of a device that is being set up.
NEW_KEY = "second_factor_key"
WRONG = "This code is wrong, or was used before. After each wrong one the next has to wait longer."


def is_passed(user: Any) -> bool:
    """Tell whether the signed-in person may go on: with the second factor, or where none is needed."""
    return bool(user.is_verified()) or not (has_one(user) or is_required_of(user))


def has_one(user: Any) -> bool:
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


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
    if not has_one(request.user):
        return HttpResponseRedirect(reverse("admin:second_factor_set_up"))
    explanation = "Enter the code that your authenticator app shows, or one of your recovery codes."
    if request.method != "POST":
        return _page(request, "Second factor", explanation)
    device = _device_that_takes(request.user, _code(request))
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
    if has_one(user) and not user.is_verified():
        return HttpResponseRedirect(reverse("admin:second_factor"))
    device = _new_device(request)
    if request.method != "POST":
        return _set_up_page(request, device)
    if not _shows(device, _code(request)):
        return _set_up_page(request, device, error=WRONG)
    codes = _confirm(device)
    del request.session[NEW_KEY]
    _pass(request, device)
    return _page(
        request,
        "Recovery codes",
        "The second factor is set up. Keep these codes, which are never shown again: each lets you in once without the"
        " app.",
        codes=codes,
    )


def _new_device(request: HttpRequest) -> TOTPDevice:
    """Return the device that is being set up. Until a code of it has come, the session alone has it."""
    key = request.session.setdefault(NEW_KEY, random_hex(20))
    return TOTPDevice(user=request.user, name="authenticator app", key=key, confirmed=True)


def _shows(device: TOTPDevice, code: str) -> bool:
    """Tell whether the app shows this code now, and note that it is used."""
    clock = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    is_right = len(code) == device.digits and code.isdecimal() and clock.verify(int(code), device.tolerance)
    device.last_t = clock.t()
    return bool(is_right)


def _set_up_page(request: HttpRequest, device: TOTPDevice, **context: Any) -> HttpResponse:
    picture = segno.make(device.config_url, error="m").svg_data_uri(scale=4)
    explanation = "Scan this picture with an authenticator app, then enter the code that the app shows."
    return _page(
        request,
        "Set up a second factor",
        explanation,
        picture=picture,
        secret=b32encode(device.bin_key).decode(),
        **context,
    )


def _page(request: HttpRequest, title: str, explanation: str, **context: Any) -> HttpResponse:
    shown = {**admin.site.each_context(request), "title": title, "explanation": explanation, **context}
    return render(request, "admin/second_factor.html", shown)


def _device_that_takes(user: Any, code: str) -> Any:
    """Return the device of the person that takes this code, which is used up with it; None where none does."""
    kind: Any = TOTPDevice if len(code) == 6 and code.isdecimal() else StaticDevice
    device = kind.objects.filter(user=user, confirmed=True).first()
    return django_otp.verify_token(user, device.persistent_id, code) if device else None


@transaction.atomic
def _confirm(device: TOTPDevice) -> list[str]:
    """Store the device as the person's second factor, in the place of any other. Returns new recovery codes."""
    TOTPDevice.objects.filter(user=device.user).delete()
    StaticDevice.objects.filter(user=device.user).delete()
    device.save()
    static = StaticDevice.objects.create(user=device.user, name="recovery codes")
    codes = [f"{StaticToken.random_token()}{StaticToken.random_token()}" for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create([StaticToken(device=static, token=code) for code in codes])
    return codes


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
