"""Serializers of responses: they build the JSON and describe it in the OpenAPI document, so each shape stands once."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from threading import local
from typing import Any

from rest_framework import serializers

from core.ids import wire_id
from core.times import rfc3339


class ResponseSerializer(serializers.Serializer):  # type: ignore[type-arg]
    """A JSON object of a response.

    The value of a field is what the method `get_<name>` returns; without such a method it is the attribute that the
    field's source names. An optional field (required=False) is left out where its value is None or an empty text. An
    underscore at the end of a name is not part of the key: `from_` is `from`, and `data_` is `data`.

    DRF's own to_representation takes twice as long: a page has up to 500 campaigns with 50 fields each.
    """

    @classmethod
    def shown(cls, instance: Any, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON object, as `cls(instance, context=context).data` is.

        The serializer is made once for a thread: DRF copies each field of each nested one whenever it makes one, which
        was a third of what a GET of a campaign took.
        """
        if cls not in _made.by_class:
            _made.by_class[cls] = cls()
        made = _made.by_class[cls]
        made._context = context
        try:
            return made.to_representation(instance)
        finally:
            made._context = {}

    def get_fields(self) -> dict[str, Any]:
        return {name.rstrip("_"): field for name, field in super().get_fields().items()}

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown = {}
        for name, read, represent, is_required in self._plan:
            value = read(instance)
            if value is not None and value != "":
                shown[name] = represent(value)
            elif is_required:
                shown[name] = value
        return shown

    @cached_property
    def _plan(self) -> list[tuple[str, Callable[[Any], Any], Callable[[Any], Any], bool]]:
        """How to read and represent each field: worked out once for all objects of a response."""
        return [
            (name, self._reader(name, field), field.to_representation, field.required)
            for name, field in self.fields.items()
        ]

    def _reader(self, name: str, field: "serializers.Field[Any, Any, Any, Any]") -> Callable[[Any], Any]:
        method: Callable[[Any], Any] | None = getattr(self, f"get_{name}", None)
        if method:
            return method
        if field.source == "*":
            return _itself
        return attrgetter(field.source or name)


class _Made(local):
    """What `shown` has made in this thread."""

    def __init__(self) -> None:
        self.by_class: dict[type[ResponseSerializer], ResponseSerializer] = {}


_made = _Made()


def _itself(instance: Any) -> Any:
    return instance


class Text(serializers.CharField):
    def __init__(self, help_text: str = "", **options: Any) -> None:
        super().__init__(help_text=help_text, **options)


class Count(serializers.IntegerField):
    def __init__(self, help_text: str = "", **options: Any) -> None:
        super().__init__(help_text=help_text, **options)


class WireId(Text):
    """A UUID as 32 hexadecimal digits."""

    def to_representation(self, value: Any) -> str:
        return wire_id(value)


class Moment(serializers.DateTimeField):
    """A moment in the account's zone. context: zone."""

    def __init__(self, help_text: str = "", **options: Any) -> None:
        super().__init__(help_text=help_text, **options)

    def to_representation(self, value: datetime) -> str:
        return rfc3339(value, self.context["zone"])
