"""The envelope of every v2 answer: request_id, method, http_code, metadata, response."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

MESSAGES = {
    400: "Invalid Parameter",
    401: "Authentication Failed",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Request Too Large",
    422: "Unprocessable Request",
    429: "Too Many Requests",
    500: "Internal Error",
    503: "Service Unavailable",
}
# Ours, except 1010 and 1100, which another of Exotel's v2 services uses.
CODES = {
    400: 1001,
    401: 1010,
    403: 1003,
    404: 1004,
    405: 1005,
    406: 1006,
    409: 1009,
    413: 1013,
    422: 1022,
    429: 1029,
    500: 1100,
    503: 1103,
}


def item(data: Any, **siblings: Any) -> dict[str, Any]:
    """A good item; siblings stand beside its data."""
    return {"code": 200, "error_data": None, "status": "success", "data": data, **siblings}


def error_item(code: int, description: str, data: Any = None) -> dict[str, Any]:
    """data: only where something that exists stands in the way."""
    return {
        "code": code,
        "status": "failure",
        "data": data,
        "error_data": {
            "code": CODES.get(code, code),
            "message": MESSAGES.get(code, "Error"),
            "description": description,
        },
    }


def envelope(
    method: str | None, http_code: int, response: Sequence[Mapping[str, Any]], metadata: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "request_id": _request_id(),
        "method": method,
        "http_code": http_code,
        "metadata": metadata,
        "response": response,
    }


def written(method: str | None, items: Sequence[Mapping[str, Any]], http_code: int = 200) -> dict[str, Any]:
    """The envelope of a request that changes things: metadata counts its items."""
    good = sum(each["status"] == "success" for each in items)
    metadata = {"total": len(items), "success": good, "failed": len(items) - good}
    return envelope(method, http_code, items, metadata)


def listed(
    method: str | None, items: Sequence[Mapping[str, Any]], *, total: int, offset: int, limit: int
) -> dict[str, Any]:
    """The envelope of a page."""
    return envelope(method, 200, items, {"count": len(items), "offset": offset, "total": total, "limit": limit})


def one(method: str | None, data: Any) -> dict[str, Any]:
    """The envelope around a single item, without an array: how CSV uploads are answered."""
    return {"request_id": _request_id(), "method": method, "http_code": 200, "response": item(data)}


def failed(method: str | None, http_code: int, description: str) -> dict[str, Any]:
    return written(method, [error_item(http_code, description)], http_code)


def _request_id() -> str:
    """The id that this request has in the logs; 32 hex digits."""
    bound = structlog.contextvars.get_contextvars().get("request_id")
    return str(bound).replace("-", "") if bound else uuid.uuid4().hex
