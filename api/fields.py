"""Fields of the wire that have rules of their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.validators import URLValidator
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from api import spelling
from campaigns import numbers

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
        strings = [each if isinstance(each, str) else f"{each!r:.40}" for each in given]
        try:
            return numbers.parse_all(strings, self.context["account"].region)
        except numbers.InvalidNumber as invalid:
            raise serializers.ValidationError(
                f"{invalid.number[:100]} is not a valid number (number {invalid.position} of {len(given):,});"
                " write it as in +919810012345, and send the request again: nothing was stored"
            ) from invalid

    def to_representation(self, value: Any) -> Any:
        return value


class MomentField(serializers.Field):  # type: ignore[type-arg]
    """An RFC 3339 date-time. The offset is mandatory: without it nobody knows which moment is meant."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
            usable = moment is not None and moment.tzinfo is not None and abs(moment.timestamp()) < 1e11
        except (ValueError, OverflowError):
            moment, usable = None, False
        if moment is None or not usable:
            example = "2026-01-31T10:30:00+05:30"
            raise serializers.ValidationError(f"write the moment with its date, time and offset, as in {example}")
        return moment

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


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


def callback_field() -> serializers.CharField:
    """The address of a webhook; empty removes it."""
    return serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=2048,
        validators=[
            URLValidator(schemes=["http", "https"], message="write an address that begins with http:// or https://")
        ],
    )


def without_nulls(data: Any) -> Any:
    """A key that is null is a key that is not there: clients with typed classes send all that they know."""
    if isinstance(data, Mapping):
        return {name: without_nulls(value) for name, value in data.items() if value is not None}
    return data
