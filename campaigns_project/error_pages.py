"""What is sent where a request is refused: a page with a sentence for a browser, an envelope for a program.

A page of somebody who has signed in has the menu around it. Any other needs neither a session nor a database, so it can
be drawn where a host name is wrong, a body is too large, or the database is away.
"""

import sys
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from psycopg.errors import QueryCanceled

from api.http import envelope, errors
from core import request_context
from dialer.urls import CARRIERS_PATHS

API = ("/v2/accounts/", "/v2_beta/Accounts/")
# Addresses of programs alone, whatever they say that they accept.
PROGRAMS = (*API, *CARRIERS_PATHS)
RETRY_SECONDS = "10"

NOT_FOUND = "There is no such page, or what it shows is not of your accounts. It may also have been deleted."
FORBIDDEN = "Your role does not allow this. An administrator of the account, or of the server, can give you another."
FORGED = (
    "Nothing was done: the page that you sent is older than your last sign-in, or your browser keeps no cookies of this"
    " server. Go back, load that page again, and repeat what you did."
)
ONLY_SENT = (
    "Nothing was done: this address takes what a button or a form sends, and you have opened it as a page. If you have"
    " signed in again just now, go to the page with the button, and press it once more."
)
UNREADABLE = "The request can't be read, and nothing was done. Go back, load the page again, and repeat what you did."
WRONG_HOST = "This server does not answer to that host name. Its operator can add it to ALLOWED_HOSTS."
TOO_LARGE = "What you sent is larger than {:,.1f} MB, and nothing was stored. Go back, and send it in smaller parts."
TOO_SLOW = "This took too long and was stopped, and nothing was changed. Ask for less at once, such as fewer days."
AWAY = "The database does not respond at the moment, and nothing was changed. Try again in some seconds."
FAULT = "This is a fault of the server, not yours. Tell its operator this number, which leads to the fault in the log: "
TITLES = {
    400: "Not understood",
    403: "Not allowed",
    404: "Not found",
    405: "Nothing was done",
    413: "Too large",
    429: "Too many at once",
    500: "A fault of the server",
    503: "Not at the moment",
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Respond to a request that can't be read, has a wrong host name, or a body that is too large (413)."""
    told = errors.bad_request(request, exception)
    sentence = UNREADABLE
    if told.status_code == 413:
        sentence = TOO_LARGE.format(settings.MAX_REQUEST_BYTES / 1_000_000)
    elif isinstance(exception, DisallowedHost):
        sentence = WRONG_HOST
    return _for_browser(request, told.status_code, sentence) or told


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    failed = envelope.failed(request.method, 403, "this is not allowed")
    return _for_browser(request, 403, FORBIDDEN) or JsonResponse(failed, status=403)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form without the token of the session; Django's CSRF_FAILURE_VIEW."""
    failed = envelope.failed(request.method, 403, f"this is not allowed: {reason}")
    return _for_browser(request, 403, FORGED) or JsonResponse(failed, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _for_browser(request, 404, NOT_FOUND) or errors.not_found(request, exception)


def in_place_of(request: HttpRequest, refusal: HttpResponseBase) -> HttpResponseBase:
    """Return the page in the place of what a view of the admin refuses with: a sentence in plain text, or nothing."""
    if refusal.status_code < 400 or isinstance(refusal, TemplateResponse) or not isinstance(refusal, HttpResponse):
        return refusal
    told = refusal.content.decode(errors="replace").strip().rstrip(".")
    is_plain = refusal.headers.get("Content-Type", "").startswith("text/plain")
    if refusal.status_code != HTTPStatus.METHOD_NOT_ALLOWED and not (is_plain and told):
        return refusal
    page = _for_browser(request, refusal.status_code, f"{told[:1].upper()}{told[1:]}." if told else ONLY_SENT)
    if page is None:
        return refusal
    for name in {"Allow", "Retry-After"} & refusal.headers.keys():
        page.headers[name] = refusal.headers[name]
    return page


def server_error(request: HttpRequest) -> HttpResponse:
    """Respond to an exception that nobody expected; Django has logged it. Asks neither the database nor the session."""
    if not is_for_browser(request):
        return errors.server_error(request)
    error = sys.exc_info()[1]  # Django calls this while it handles the exception
    if not isinstance(error, OperationalError):
        return _bare(request, 500, FAULT, request_context.request_id())
    page = _bare(request, 503, TOO_SLOW if isinstance(error.__cause__, QueryCanceled) else AWAY)
    page.headers["Retry-After"] = RETRY_SECONDS
    return page


def is_for_browser(request: HttpRequest) -> bool:
    """Tell whether a person reads the response: of the admin always, elsewhere where HTML is asked for."""
    path = request.path_info
    if _is_of_admin(path):
        return True
    return not path.startswith(PROGRAMS) and "text/html" in request.headers.get("Accept", "")


def _for_browser(request: HttpRequest, status: int, sentence: str) -> HttpResponse | None:
    """Return the page for a browser, None for a program."""
    if not is_for_browser(request):
        return None
    if not (_is_of_admin(request.path_info) and hasattr(request, "user") and admin.site.has_permission(request)):
        return _bare(request, status, sentence)
    context = {**admin.site.each_context(request), "title": TITLES.get(status, "Not done"), "sentence": sentence}
    return TemplateResponse(request, "admin/refused.html", context, status=status).render()


def _bare(request: HttpRequest, status: int, sentence: str, number: str = "") -> HttpResponse:
    """Return a page without a menu, which reads nothing of the request's session."""
    context: dict[str, Any] = {
        "site_header": admin.site.site_header,
        "site_title": admin.site.site_title,
        "title": TITLES.get(status, "Not done"),
        "sentence": sentence,
        "number": number,
        "has_start": not settings.ADMIN_ADDRESS or (_is_of_admin(request.path_info) and hasattr(request, "session")),
    }
    return HttpResponse(render_to_string("admin/refused.html", context), status=status)


def _is_of_admin(path: str) -> bool:
    return path == "/admin" or path.startswith("/admin/")
