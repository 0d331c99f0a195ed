"""Every address that the server has."""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


def addresses(patterns: Any = None, before: str = "") -> Iterator[str]:
    """Yield every address of the server, as its pattern."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, address)
        else:
            assert isinstance(pattern, URLPattern)
            yield address
