"""Requests that hold many objects, each with a result of its own: an invalid one does not stop the others."""

from collections.abc import Collection
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from api.http.envelope import Failure
from api.http.errors import first_sentence
from api.http.fields import ObjectSerializer, refuse_unknown_keys
from api.http.parsers import take_chunked_body
from core.errors import InvalidRequest

MAX_ITEMS = 5000
MULTI_STATUS = 207  # whatever became of the items


def bodies(
    request: Request, key: str, *, max_items: int = MAX_ITEMS, title: str = "", beside: Collection[str] | None = None
) -> list[Any]:
    """Return the objects below `key`, or one bare object.

    Args:
        title: how the message of a missing key names it; the key itself if empty.
        beside: the keys that may stand beside `key`, or in a bare object; None: any may, and are ignored.

    Raises:
        InvalidRequest: there is no object, or there are more than max_items.
        ValidationError: another key stands beside `key`.
    """
    take_chunked_body(request._request)
    data = request.data
    if beside is not None and isinstance(data, dict):
        if key in data:
            refuse_unknown_keys(data, (key, *beside))
        data = {name: value for name, value in data.items() if name not in beside}
    given = data.get(key, [data] if data else None) if isinstance(data, dict) else None
    if not isinstance(given, list) or not given:
        raise InvalidRequest(f'{title or key} is mandatory: send {{"{key}": [{{...}}]}}')
    if len(given) > max_items:
        raise InvalidRequest(f"{len(given):,} {key} are more than the {max_items:,} of one request: send several")
    return given


def one_body(request: Request, key: str) -> Any:
    given = bodies(request, key)
    if len(given) != 1:
        raise InvalidRequest(f"this address takes exactly one of {key}")
    return given[0]


def validated(serializer: ObjectSerializer, body: Any) -> tuple[dict[str, Any], Failure | None]:
    """Validate one object.

    Returns:
        The validated fields and None, or an empty dict and the Failure that says what is wrong.
    """
    try:
        return dict(serializer.run_validation(body)), None
    except ValidationError as error:
        return {}, Failure(400, first_sentence(error.detail))
