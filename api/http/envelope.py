"""The envelope of every v2 response: request_id, method, http_code, metadata, response."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rest_framework import serializers

from api.http.responses import Count, ResponseSerializer, Text
from core import request_context

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
# Our own numbers, except 1010 and 1100, which another of Exotel's v2 services uses.
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


@dataclass(frozen=True)
class Failure:
    """An item that could not be carried out. conflicting: the row that stands in its way, where there is one."""

    code: int
    description: str
    conflicting: Any = None


@dataclass(frozen=True)
class Content:
    """What an envelope is built from. rows: the objects that its items show, or Failures."""

    method: str | None
    rows: Sequence[Any]
    http_code: int = 200


@dataclass(frozen=True)
class PageContent(Content):
    """One page of a list. offset: the position of its first row, from 0; total: the rows of all pages."""

    total: int = field(kw_only=True)
    offset: int = field(kw_only=True)
    limit: int = field(kw_only=True)


class ErrorData(ResponseSerializer):
    code = Count()
    message = Text()
    description = Text("What was wrong, where, what to do.")

    def get_code(self, failure: Failure) -> int:
        return CODES.get(failure.code, failure.code)

    def get_message(self, failure: Failure) -> str:
        return MESSAGES.get(failure.code, "Error")


class ErrorItem(ResponseSerializer):
    code = Count()
    status = Text("failure")
    data_ = serializers.JSONField(allow_null=True)
    error_data = ErrorData(source="*")

    def get_status(self, failure: Failure) -> str:
        return "failure"

    def get_data(self, failure: Failure) -> None:
        return None


_ERROR_ITEM = ErrorItem()  # one for all: 5,000 items of a request may fail


class Item(ResponseSerializer):
    # A subclass adds `data_`, with source="*".
    code = Count("HTTP status of this item.")
    error_data: "serializers.Field[Any, Any, Any, Any]" = serializers.JSONField(allow_null=True)
    status = Text("success: of the item, not the campaign's own.")

    def get_code(self, row: Any) -> int:
        return 200

    def get_error_data(self, row: Any) -> None:
        return None

    def get_status(self, row: Any) -> str:
        return "success"


class Result(Item):
    # One item of HTTP 207: the row, or a Failure. A subclass adds `data_`, with source="*".
    code = Count("200, 400, 404 or 409.")
    error_data = ErrorData(allow_null=True)
    status = Text("success or failure")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        if not isinstance(instance, Failure):
            return super().to_representation(instance)
        shown = _ERROR_ITEM.to_representation(instance)
        if instance.conflicting is not None:
            shown["data"] = self.fields["data"].to_representation(instance.conflicting)
        return shown


class Written(ResponseSerializer):
    total = Count()
    success = Count()
    failed = Count()

    def get_total(self, rows: Sequence[Any]) -> int:
        return len(rows)

    def get_success(self, rows: Sequence[Any]) -> int:
        return len(rows) - self.get_failed(rows)

    def get_failed(self, rows: Sequence[Any]) -> int:
        return sum(isinstance(row, Failure) for row in rows)


class Page(ResponseSerializer):
    count = Count("Records in this page.")
    offset = Count()
    total = Count()
    limit = Count()

    def get_count(self, content: PageContent) -> int:
        return len(content.rows)


class Envelope(ResponseSerializer):
    # A subclass adds `response`.
    request_id = Text()
    method = Text()
    http_code = Count()

    def get_request_id(self, content: Content) -> str:
        """Return the id that this request has in the logs: 32 hexadecimal digits."""
        return request_context.request_id() or uuid.uuid4().hex


class WrittenEnvelope(Envelope):
    # Of a request about certain objects. A subclass adds `response`, with many=True and source="rows".
    metadata = Written(source="rows")


class PageEnvelope(Envelope):
    # Of a page of a list. A subclass adds `response`, with many=True and source="rows".
    metadata = Page(source="*")


class Errors(WrittenEnvelope):
    response = ErrorItem(many=True, source="rows")


def failed(method: str | None, http_code: int, description: str) -> dict[str, Any]:
    """Build the envelope of a request that failed as a whole."""
    return Errors.shown(Content(method, [Failure(http_code, description)], http_code), {})
