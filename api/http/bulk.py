"""Requests that hold many things, each with an answer of its own: one bad item does not hold up the others."""

from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.http import envelope
from api.http.errors import first_sentence
from api.http.fields import ObjectSerializer
from api.http.parsers import take_chunked_body
from core.errors import InvalidRequest

MAX_ITEMS = 5000
MULTI_STATUS = 207


def bodies(request: Request, key: str) -> list[Any]:
    """The items below `key`, or one bare object. Raises InvalidRequest for none, and for more than MAX_ITEMS."""
    take_chunked_body(request._request)
    data = request.data
    given = data.get(key, [data] if data else None) if isinstance(data, dict) else None
    if not isinstance(given, list) or not given:
        raise InvalidRequest(f'{key} is mandatory: send {{"{key}": [{{...}}]}}')
    if len(given) > MAX_ITEMS:
        raise InvalidRequest(f"{len(given):,} {key} are more than the {MAX_ITEMS:,} of one request: send several")
    return given


def one_body(request: Request, key: str) -> Any:
    given = bodies(request, key)
    if len(given) != 1:
        raise InvalidRequest(f"this address takes exactly one of {key}")
    return given[0]


def validated(serializer: ObjectSerializer, body: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The validated fields and None, or nothing and the error item that says what was wrong."""
    try:
        return dict(serializer.run_validation(body)), None
    except ValidationError as error:
        return {}, envelope.error_item(400, first_sentence(error.detail))


def answer(request: Request, items: Sequence[dict[str, Any]]) -> Response:
    """HTTP 207, whatever became of the items."""
    return Response(envelope.written(request.method, items, MULTI_STATUS), status=MULTI_STATUS)


def one(request: Request, data: dict[str, Any]) -> Response:
    return Response(envelope.written(request.method, [envelope.item(data)]))


def page(request: Request, items: Sequence[dict[str, Any]], *, total: int, query: dict[str, Any]) -> Response:
    wrapped = [envelope.item(data) for data in items]
    return Response(envelope.listed(request.method, wrapped, total=total, offset=query["offset"], limit=query["limit"]))
