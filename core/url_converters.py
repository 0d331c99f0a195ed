"""Path converters. A URL configuration that uses one imports this module, which registers them."""

from uuid import UUID

from django.urls import register_converter


class HexUuidConverter:
    """`<hex:name>`: an id as `ids.wire_id` writes it, 32 lower-case hex digits."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> UUID:
        return UUID(value)

    def to_url(self, value: UUID) -> str:
        return value.hex


register_converter(HexUuidConverter, "hex")
