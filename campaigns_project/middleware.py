"""The request log without what must not be in it, and a short way in for carriers."""

from collections.abc import Callable
from typing import cast

import structlog
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import resolve
from django_structlog.middlewares import RequestMiddleware

from core.client_address import client_address
from dialer.urls import CARRIERS_PATHS


class RequestLog(RequestMiddleware):
    """django-structlog's request log without the query, where signatures and carriers' tokens stand."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """The address that the sign-in limit counts by: what our own proxy says, never what a client says of itself.

        django-structlog asks ipware, which believes any of a dozen headers and was most of the request log's CPU.
        """
        structlog.contextvars.bind_contextvars(ip=client_address(request))


class CarriersFirst:
    """Answers what carriers ask for without the middleware that follows: their requests have no session, no user and no
    form of ours, only a token that the view checks.

    Two events for each call are most of what a web process does, and a token that is refused, which is all but keeping
    the event, takes a third less CPU this way. The request log is here once more, as the one at the end of MIDDLEWARE
    sees nothing of it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._everybody_else = get_response
        self._carriers = RequestLog(cast(Callable[[HttpRequest], HttpResponse], convert_exception_to_response(_answer)))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(CARRIERS_PATHS):
            return cast(HttpResponseBase, self._carriers(request))  # awaitable only where `_answer` were
        return self._everybody_else(request)


def _answer(request: HttpRequest) -> HttpResponse:
    request.resolver_match = match = resolve(request.path_info, "dialer.urls")
    answer: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return answer
