"""What clients say of contacts."""

import json
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from api.http.fields import ObjectSerializer, OwnObjectSerializer, TextField, WordField, called_from, visible
from contacts import numbers, zones
from contacts.models import ConsentScope

KEY = "contacts"
# Of JSON. A response may show five thousand contacts, or one of them five thousand times.
MAX_CUSTOM_BYTES = 4_000


@extend_schema_field({"type": "object", "additionalProperties": {}})
class CustomField(serializers.Field):  # type: ignore[type-arg]
    """An object of the client's own keys and values."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError("must be an object of keys and values")
        size = len(json.dumps(data, ensure_ascii=False).encode())
        if size > MAX_CUSTOM_BYTES:
            raise ValidationError(
                f"has {size:,} bytes of JSON, and may have {MAX_CUSTOM_BYTES:,}: store less of it here"
            )
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "string", "format": "date", "example": "2026-01-31"})
class DayField(serializers.Field):  # type: ignore[type-arg]
    """A day: 2026-01-31."""

    def to_internal_value(self, data: Any) -> date:
        try:
            return date.fromisoformat(data if isinstance(data, str) else "")
        except ValueError as error:
            raise ValidationError("write the day as 2026-01-31") from error

    def to_representation(self, value: date) -> str:
        return value.isoformat()


class ConsentRequestSerializer(OwnObjectSerializer):
    # What the person agreed to. To withdraw consent, put the number on the do-not-call list.
    scope = WordField(list(ConsentScope.values))

    def get_fields(self) -> dict[str, Any]:
        # Not class attributes: `source` is an attribute of every field.
        source = TextField(max_length=255, allow_blank=True, required=False, help_text="Where it is recorded.")
        return {"date": DayField(), "source": source} | super().get_fields()


def _text() -> TextField:
    return TextField(max_length=255, allow_blank=True, required=False)


class ContactRequestSerializer(ObjectSerializer):
    # Validated data are columns of a contact. context: account.
    number = TextField(max_length=64)
    first_name = _text()
    last_name = _text()
    company_name = _text()
    email = _text()
    tag = _text()
    time_zone = TextField(max_length=64, allow_blank=True, required=False, help_text="Asia/Kolkata; ours, as consent.")
    consent = ConsentRequestSerializer(required=False)
    custom_field = CustomField(required=False)
    custom = CustomField(required=False, help_text="The same as custom_field.")

    def validate_number(self, given: str) -> str:
        try:
            number = numbers.read(given, self.context["account"].region)
        except numbers.InvalidNumber as invalid:
            why = f": {invalid.reason}" if invalid.reason else ""
            raise ValidationError(
                f"{visible(given)} is not a valid number{why}; write it in E.164, as in +919810012345"
            ) from invalid
        if why_not := called_from(self).why_not(number):
            raise ValidationError(f"{visible(given)} can't be called: {why_not}")
        return number

    def validate_time_zone(self, given: str) -> str:
        try:
            return zones.validate_zone(given) if given else ""
        except DjangoValidationError as error:
            raise ValidationError(error.message) from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if consent := attrs.pop("consent", None):
            attrs |= {f"consent_{name}": consent.get(name, "") for name in ("date", "source", "scope")}
        given = attrs.pop("custom_field", None)
        return attrs if given is None else attrs | {"custom": given}


class ContactChangeSerializer(ContactRequestSerializer):
    """A contact's fields to change: all of them optional; sid where several are changed."""

    sid = serializers.CharField(required=False)
    number = TextField(required=False)


class ContactsBody(serializers.Serializer):  # type: ignore[type-arg]
    contacts = ContactRequestSerializer(many=True)


class ContactChanges(serializers.Serializer):  # type: ignore[type-arg]
    contacts = ContactChangeSerializer(many=True)
