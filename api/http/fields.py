"""Fields of the wire that have rules of their own."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from django.core.validators import URLValidator
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from api.http import spelling
from contacts import numbers
from webhooks import addresses

MAX_NUMBERS = 5000


class NumbersField(serializers.Field):  # type: ignore[type-arg]
    """1 to 5,000 phone numbers, as an array or as one comma-separated string; to E.164.

    The first number that is none fails the request, and the rest is not looked at. context: account.
    """

    def to_internal_value(self, data: Any) -> list[str]:
        given = [each for each in data.split(",") if each.strip()] if isinstance(data, str) else data
        if not isinstance(given, list):
            raise serializers.ValidationError(
                "give phone numbers as an array of strings, or comma-separated in one string"
            )
        if not given:
            raise serializers.ValidationError(f"give at least one phone number, and at most {MAX_NUMBERS:,}")
        if len(given) > MAX_NUMBERS:
            raise serializers.ValidationError(
                f"{len(given):,} numbers are more than the {MAX_NUMBERS:,} of one campaign: send several campaigns"
            )
        strings = list(takewhile(lambda each: isinstance(each, str), given))
        try:
            parsed = numbers.parse_all(strings, self.context["account"].region)
        except numbers.InvalidNumber as invalid:
            shown = invalid.number.strip()[:100] or "an empty text"
            raise serializers.ValidationError(_refusal(shown, invalid.position, len(given))) from invalid
        if len(parsed) < len(given):
            shown = json.dumps(given[len(parsed)], ensure_ascii=False)[:100]
            raise serializers.ValidationError(_refusal(shown, len(parsed) + 1, len(given)))
        return parsed

    def to_representation(self, value: Any) -> Any:
        return value


def _refusal(shown: str, position: int, total: int) -> str:
    return (
        f"{shown} is not a valid number (number {position:,} of {total:,}); write it in quotes, as in"
        ' "+919810012345", and send the request again: nothing was stored'
    )


class MomentField(serializers.Field):  # type: ignore[type-arg]
    """An RFC 3339 date-time. The offset is mandatory: without it nobody knows which moment is meant."""

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


class TextField(serializers.CharField):
    """A string, and nothing that could be read as one: `true` and `1e3` are mistakes, not names."""

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
    """A JSON object. A key that is null is a key that is not there: clients with typed classes send all they know."""

    default_error_messages = {"invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(without_nulls(data))


class WordField(serializers.Field):  # type: ignore[type-arg]
    """One of a few words, in any spelling; to the domain's."""

    def __init__(self, words: Sequence[str], **options: Any) -> None:
        self.words = {spelling.folded(word): word for word in words}
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        word = self.words.get(spelling.folded(data)) if isinstance(data, str) else None
        if word is None:
            raise serializers.ValidationError(f"must be one of {', '.join(self.words.values())}")
        return word

    def to_representation(self, value: str) -> str:
        return value


def callback_field() -> TextField:
    """The address of a webhook; empty removes it."""
    return TextField(
        required=False,
        allow_blank=True,
        max_length=2048,
        validators=[
            URLValidator(schemes=["http", "https"], message="write an address that begins with http:// or https://"),
            reachable_by_all,
        ],
    )


def reachable_by_all(url: str) -> None:
    """Refuses an address in this server's own networks; it is checked again at each delivery."""
    if addresses.is_refused(url):
        raise serializers.ValidationError(
            "this address is private, loopback or link-local: give one that the public internet reaches"
        )


def without_nulls(data: Any) -> Any:
    """An object without its keys that are null; anything else as it is."""
    if isinstance(data, Mapping):
        return {name: value for name, value in data.items() if value is not None}
    return data
