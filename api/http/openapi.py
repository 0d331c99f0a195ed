"""What the descriptions of all operations in the OpenAPI document are made of.

Requests are described by the serializers that validate them, responses by those that build them, and operations by
`extend_schema` on the methods of their views.
"""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.serializers import PolymorphicProxySerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer
from rest_framework import serializers

from api.http import bulk, envelope, idempotency, queries
from api.http.account_view import AccountView
from api.http.fields import ObjectSerializer
from api.http.responses import ResponseSerializer

ERRORS = {
    400: "Something in the request is wrong; nothing was changed.",
    401: "No credentials, or wrong ones.",
    404: "There is no such thing in this account.",
    405: "The address has no such method.",
    409: "The first request with this Idempotency-Key is still running.",
    413: "The body is too large.",
    422: "The Idempotency-Key was used for another request.",
    429: "Too many requests: Retry-After says when to try again.",
}
CONFLICT = "The name or number is another's, or a campaign or an upload needs the list."

IDEMPOTENCY_KEY = OpenApiParameter(
    idempotency.HEADER,
    {"type": "string", "minLength": 1, "maxLength": idempotency.MAX_KEY_LENGTH, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="Sent again within 24 hours, the request is not done again: the first response is sent again.",
)

Component = type["serializers.Serializer[Any]"]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "api.http.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "basic", "description": "User: the API key. Password: the API token."}


def responses(
    good: Any, *codes: int, good_code: int = 200, bad: Component = envelope.Errors, conflict: str = ""
) -> dict[int, Any]:
    """Describe a good response, the errors that every operation may have, and those of `codes`.

    conflict: what HTTP 409 means here, where it has nothing to do with an Idempotency-Key.
    """
    described = {code: ERRORS[code] for code in sorted({400, 401, 404, 429, *codes})}
    if conflict:
        described[409] = conflict
    return {good_code: good, **{code: OpenApiResponse(bad, text) for code, text in described.items()}}


def bulk_responses(good: Component, *codes: int) -> dict[int, Any]:
    """Describe the responses to a request that holds many objects."""
    conflict = f"{ERRORS[409]} {CONFLICT}"
    return responses(good, 405, 413, 422, *codes, good_code=bulk.MULTI_STATUS, conflict=conflict)


def query(of: type[queries.PageQuery]) -> list[OpenApiParameter]:
    """Describe the parameters of a list, from the serializer that reads them."""
    return [
        OpenApiParameter(
            name,
            OpenApiTypes.INT if isinstance(field, serializers.IntegerField) else OpenApiTypes.STR,
            description=str(field.help_text or ""),
        )
        for name, field in of().fields.items()
    ]


class AnyOf(PolymorphicProxySerializer):
    """A body of any of several forms."""


class AnyOfScheme(PolymorphicProxySerializerExtension):  # type: ignore[no-untyped-call]
    target_class = "api.http.openapi.AnyOf"

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return `anyOf`: unknown fields are ignored, so most bodies fit several forms, which `oneOf` forbids."""
        return {"anyOf": super().map_serializer(auto_schema, direction)["oneOf"]}  # type: ignore[no-untyped-call]


def json_body(name: str, *bodies: Any) -> dict[str, Any]:
    """Describe a request whose body is one of these."""
    return {"application/json": AnyOf(name, list(bodies), resource_type_field_name=None)}


def without_aliases(endpoints: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Select the addresses to describe: one spelling of each is enough."""
    return [endpoint for endpoint in endpoints if "/campaign/" not in endpoint[0]]


def undocumented_bases() -> list[type]:
    """Return the classes whose docstrings are for developers: nothing inherits its description from them."""
    library: list[type] = get_lib_doc_excludes()  # type: ignore[no-untyped-call]
    return [*library, AccountView, ObjectSerializer, ResponseSerializer]


def document() -> dict[str, Any]:
    """Build the OpenAPI document as it is served."""
    built: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return built
