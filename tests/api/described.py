"""The OpenAPI document, for tables of cases that are made of it."""

from functools import cache
from typing import Any

from api.http import openapi


@cache
def document() -> dict[str, Any]:
    """Return the document, which takes half a second to build. Nobody may change it."""
    return openapi.document()
