"""What clients say of numbers that must not be called."""

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from api.http.fields import ObjectSerializer, TextField, visible
from contacts import numbers

KEY = "do_not_call"
MAX_TEXT = 255


def e164(given: str, region: str) -> str:
    """Return the number in E.164. Raises ValidationError. One that the account does not call may be listed, too."""
    try:
        return numbers.read(given, region)
    except numbers.InvalidNumber as invalid:
        why = f": {invalid.reason}" if invalid.reason else ""
        raise ValidationError(
            f"{visible(given)} is not a valid number{why}; write it in E.164, as in +919810012345"
        ) from invalid


class DoNotCallRequestSerializer(ObjectSerializer):
    # context: account.
    number = TextField(max_length=64)
    note = TextField(max_length=MAX_TEXT, allow_blank=True, required=False, help_text="For people: who asked, and how.")

    def validate_number(self, given: str) -> str:
        return e164(given, self.context["account"].region)


class DoNotCallBody(serializers.Serializer):  # type: ignore[type-arg]
    do_not_call = DoNotCallRequestSerializer(many=True)


class RemovalSerializer(ObjectSerializer):
    reason = TextField(
        max_length=MAX_TEXT,
        help_text="Why the number may be called again. It is kept in the audit log.",
        error_messages={"required": "is mandatory: say why the number may be called again"},
    )
