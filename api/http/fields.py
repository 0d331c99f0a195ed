"""Fields of requests with rules of their own."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django.utils.dateparse import parse_datetime
from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.http import spelling
from contacts import destinations
from contacts.destinations import Destinations


@extend_schema_field({"type": "string", "format": "date-time", "example": "2030-01-31T10:30:00+05:30"})
class MomentField(serializers.Field):  # type: ignore[type-arg]
    """An RFC 3339 date-time. The offset is mandatory: without it the moment would depend on the reader's zone."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
            # Overflows where the offset leads out of the years 1 to 9999.
            utc = moment.astimezone(UTC) if moment and moment.tzinfo else None
        except (ValueError, OverflowError):
            utc = None
        if utc is None:
            example = "2026-01-31T10:30:00+05:30"
            raise serializers.ValidationError(f"write the moment with its date, time and offset, as in {example}")
        return utc

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


def called_from(field: "serializers.Field[Any, Any, Any, Any]") -> Destinations:
    """Return where the account of the field's context calls. The context, and so this, is that of a whole request."""
    context = cast(dict[str, Any], field.context)
    if "called" not in context:
        context["called"] = destinations.of_account(context["account"])
    called: Destinations = context["called"]
    return called


class TextField(serializers.CharField):
    """A JSON string. Other values that DRF would read as text are refused: `true` and `1e3` are mistakes, not names."""

    default_error_messages = {"invalid": "must be a text, in quotes", "null": "must be a text, in quotes"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class CountField(serializers.IntegerField):
    """A whole number, as JSON's number or as its digits in a string."""

    default_error_messages = {"invalid": "must be a whole number"}


class SwitchField(serializers.BooleanField):
    default_error_messages = {"invalid": "must be true or false"}


class ObjectSerializer(serializers.Serializer):  # type: ignore[type-arg]
    """A JSON object of a request.

    A key whose value is null counts as missing, because clients with typed classes send every key that they know.
    """

    default_error_messages = {"invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(without_nulls(data))


class OwnObjectSerializer(ObjectSerializer):
    """A JSON object that Exotel's API does not have: a key that is not known is a mistake, and is refused.

    Of objects that Exotel's API has, unknown keys are ignored: clients send what they would send there.
    """

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown_keys(data, self.fields)
        return super().to_internal_value(data)


class WordField(serializers.Field):  # type: ignore[type-arg]
    """One of a few words, in any spelling. Validates to the domain's spelling."""

    def __init__(self, words: Sequence[str], **options: Any) -> None:
        self.words = {spelling.folded(word): word for word in words}
        super().__init__(**options)
        set_override(self, "field", {"type": "string", "enum": list(words)})

    def to_internal_value(self, data: Any) -> str:
        word = self.words.get(spelling.folded(data)) if isinstance(data, str) else None
        if word is None:
            raise serializers.ValidationError(f"must be one of {', '.join(self.words.values())}")
        return word

    def to_representation(self, value: str) -> str:
        return value


def without_nulls(data: Any) -> Any:
    """Return an object without the keys whose value is null, and anything else unchanged."""
    if isinstance(data, Mapping):
        return {name: value for name, value in data.items() if value is not None}
    return data


def visible(text: str) -> str:
    """Return the text with an escape in place of each character that can't be seen."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def refuse_unknown_keys(data: Any, known: Iterable[str]) -> None:
    """Raise ValidationError for the first key of an object that is not known and has a value."""
    names = list(known)
    for name in without_nulls(data) if isinstance(data, Mapping) else ():
        if name not in names:
            said = f"is not known here: leave it out. Known: {', '.join(names)}"
            raise serializers.ValidationError({visible(name[:64]) or '""': said})
