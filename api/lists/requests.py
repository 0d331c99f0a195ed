"""What clients say of lists of contacts."""

from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from api.http.fields import ObjectSerializer, SwitchField, TextField
from api.http.parsers import printable
from core import ids

KEY = "lists"
REFERENCES = "contact_references"


class ListRequestSerializer(ObjectSerializer):
    name = TextField(max_length=255)
    tag = TextField(max_length=255, allow_blank=True, required=False)
    allow_blanks = SwitchField(
        source="allows_blanks", required=False, help_text="Of a dynamic list: rows may have no value for a column."
    )


class ListChangeSerializer(ListRequestSerializer):
    """A list's fields to change: all of them optional; sid where several are changed."""

    sid = serializers.CharField(required=False)
    name = TextField(required=False)


class ReferenceSerializer(ObjectSerializer):
    contact_sid = TextField()

    def validate_contact_sid(self, given: str) -> UUID:
        contact_id = ids.parse(given)
        if contact_id is None:
            raise ValidationError(f"{printable(given)} is not the sid of a contact")
        return contact_id


class ListsBody(serializers.Serializer):  # type: ignore[type-arg]
    lists = ListRequestSerializer(many=True)


class ListChanges(serializers.Serializer):  # type: ignore[type-arg]
    lists = ListChangeSerializer(many=True)


class ReferencesBody(serializers.Serializer):  # type: ignore[type-arg]
    contact_references = ReferenceSerializer(many=True)
