"""The request log, without secrets, and a short path through the middleware for carriers' requests."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import structlog
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import resolve
from django_structlog.middlewares import RequestMiddleware
from rest_framework.exceptions import APIException

from api.http import parsers
from campaigns_project import error_pages, health, metrics
from core.client_address import client_address
from dialer.urls import CARRIERS_PATHS

# Files from pages. The views look at the person before they read anything, and read no more than the API takes.
UPLOADS = ("/admin/upload/", "/admin/do-not-call/upload/")

PROBES = {"/healthz": health.healthz, "/readyz": health.readyz, "/metrics": metrics.metrics}


class ProbesFirst:
    """Respond to probes and scrapers before a host name or TLS is asked for.

    A load balancer asks over plain HTTP, with the address of a machine or a pod as the host.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._full_path = get_response
        self._views = {path: convert_exception_to_response(view) for path, view in PROBES.items()}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = self._views.get(request.path_info) if request.method in {"GET", "HEAD"} else None
        return cast(HttpResponseBase, (view or self._full_path)(request))  # a coroutine only if a view were one


class RequestLog(RequestMiddleware):
    """django-structlog's request log without query strings, which hold signatures and carriers' tokens."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """Log the address that the sign-in limit counts by: what our own proxy says, never what a client claims.

        django-structlog asks ipware, which believes any of a dozen headers and took most of the request log's CPU.
        """
        structlog.contextvars.bind_contextvars(ip=client_address(request))


class BodyLimit:
    """Refuse bodies above MAX_REQUEST_BYTES before they are read, on every address outside the API.

    Django would store the files of any form on the disk before a token or a user is looked at. A body in chunks says no
    length: it is read here, in memory, up to the limit. Views of the API read theirs with limits of their own, after
    the credentials, so that a client with good ones reads what was wrong. So do pages that take files.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(error_pages.API):
            return self._next(request)
        try:
            if not request.path_info.startswith(UPLOADS):
                parsers.require_bounded(request)
            parsers.take_chunked_body(request)
        except APIException as error:
            if error_pages.is_for_browser(request):
                with suppress(OSError):  # the client may have gone
                    # One that is still sending when the connection closes shows an error of its own, not this page.
                    parsers.discard(cast(Any, request))
            return error_pages.bad_request(request, error)
        return self._next(request)


class CarriersFirst:
    """Respond to carriers' requests without the middleware that follows.

    They have no session, user or form, only a token that the view checks. Two events for each call are most of what a
    web process does, and this path takes a third less CPU. The request log is applied here once more, as the one at the
    end of MIDDLEWARE does not see these requests.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._full_path = get_response
        view = convert_exception_to_response(_call_view)
        self._short_path = RequestLog(cast(Callable[[HttpRequest], HttpResponse], view))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(CARRIERS_PATHS):
            return cast(HttpResponseBase, self._short_path(request))  # a coroutine only if `_call_view` were one
        return self._full_path(request)


def _call_view(request: HttpRequest) -> HttpResponse:
    request.resolver_match = match = resolve(request.path_info, "dialer.urls")
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return response
