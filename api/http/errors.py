"""Errors as envelopes, each with a sentence for a person: what was wrong, where, what to do."""

from typing import Any

from django.core.exceptions import DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from psycopg.errors import ForeignKeyViolation, QueryCanceled
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from api.http import envelope
from api.http.rate_limits import TooManyRequests
from core.errors import Conflict, InvalidRequest, Missing

RETRY = {"Retry-After": "10"}
UNREADABLE = "the request can't be read: check its address, headers and query"


class NotFound(exceptions.NotFound):
    """The resource does not exist, or is another account's: the response is the same."""


def to_envelope(error: Exception, context: dict[str, Any]) -> Response | None:
    """Build the response to an exception of a view; DRF's EXCEPTION_HANDLER.

    Returns:
        None for a fault of the server: Django logs it and responds with `server_error`.
    """
    code, description, headers = _describe(error)
    if not code:
        return None
    set_rollback()
    request = context.get("request")
    body = envelope.failed(request.method if request else None, code, description)
    return Response(body, status=code, headers=headers)


def _describe(error: Exception) -> tuple[int, str, dict[str, str]]:
    match error:
        case Conflict():
            return 409, str(error), {}
        case Missing():
            return 404, str(error), {}
        case InvalidRequest():
            return 400, str(error), {}
        case exceptions.ValidationError():
            return 400, first_sentence(error.detail), {}
        case exceptions.MethodNotAllowed():
            return 405, "this address has no such method: see the header Allow", {}
        case TooManyRequests():
            return 429, first_sentence(error.detail), {"Retry-After": str(error.retry_after)}
        case exceptions.APIException():
            headers = {"WWW-Authenticate": header} if (header := getattr(error, "auth_header", "")) else {}
            return error.status_code, first_sentence(error.detail), headers
        case Http404():
            return 404, "there is no such address", {}
        case RequestDataTooBig():
            return 413, "the body is too large: send fewer numbers in one request", {}
        case SuspiciousOperation():
            return 400, UNREADABLE, {}
        case IntegrityError(__cause__=ForeignKeyViolation()):
            return 409, "something that this names was deleted at the same moment, nothing was changed: look again", {}
        case OperationalError(__cause__=QueryCanceled()):
            return 503, "this took too long and was stopped, nothing was changed: ask for less at once", RETRY
    return 0, "", {}


def first_sentence(detail: Any, place: str = "") -> str:
    """Return the first error of a validation as a sentence that names its place: `'retries.interval_mins': …`."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        if name == "non_field_errors":
            return first_sentence(inner, place)
        if isinstance(name, int):
            return first_sentence(inner, f"{place}[{name}]")
        return first_sentence(inner, f"{place}.{name}" if place else str(name))
    if isinstance(detail, list):
        position, inner = next((entry for entry in enumerate(detail) if entry[1]), (0, ""))
        nested = isinstance(inner, dict | list)
        return first_sentence(inner, f"{place}[{position}]" if nested else place)
    return f"'{place}': {detail}" if place else str(detail)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    code, description, _ = _describe(exception)
    if isinstance(exception, DisallowedHost):
        description = "this server does not answer to that host name: its operator can add it to ALLOWED_HOSTS"
    if not code:
        code, description = 400, UNREADABLE
    return JsonResponse(envelope.failed(request.method, code, description), status=code)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return JsonResponse(envelope.failed(request.method, 404, "there is no such address"), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    description = "this is a fault of the server, not of the request; its log has more under this request_id"
    return JsonResponse(envelope.failed(request.method, 500, description), status=500)
