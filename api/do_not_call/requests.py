"""What clients say of numbers that must not be called."""

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from api.http.fields import ObjectSerializer, OwnObjectSerializer, TextField, WordField, visible
from contacts import numbers

KEY = "do_not_call"
MAX_TEXT = 255
# Whose list a number is on: the account's own, or that of all.
ACCOUNT, ALL = "account", "all"


def e164(given: str, region: str) -> str:
    """Return the number in E.164. Raises ValidationError. One that the account does not call may be listed, too."""
    try:
        return numbers.read(given, region)
    except numbers.InvalidNumber as invalid:
        why = f": {invalid.reason}" if invalid.reason else ""
        raise ValidationError(
            f"{visible(given)} is not a valid number{why}; write it in E.164, as in +919810012345"
        ) from invalid


class DoNotCallRequestSerializer(OwnObjectSerializer):
    # context: account.
    number = TextField(max_length=64)
    note = TextField(max_length=MAX_TEXT, allow_blank=True, required=False, help_text="For people: who asked, and how.")
    scope = WordField(
        [ACCOUNT, ALL], required=False, help_text="account, as without it: for all accounts the operator lists."
    )

    def validate_number(self, given: str) -> str:
        return e164(given, self.context["account"].region)

    def validate_scope(self, scope: str) -> str:
        if scope == ALL:
            raise ValidationError("for all accounts only the operator of this server lists a number: write account")
        return scope


class DoNotCallBody(serializers.Serializer):  # type: ignore[type-arg]
    do_not_call = DoNotCallRequestSerializer(many=True)


class RemovalSerializer(ObjectSerializer):
    reason = TextField(
        max_length=MAX_TEXT,
        help_text="Why the number may be called again. It is kept in the audit log.",
        error_messages={"required": "is mandatory: say why the number may be called again"},
    )


class RemovalBody(OwnObjectSerializer, RemovalSerializer):
    """The same in a body, which says nothing else. A query may have more: caches and proxies add to it."""
