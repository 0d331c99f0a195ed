"""Fields of a campaign with rules of their own: its numbers and the addresses of its webhooks."""

import json
import re
from itertools import takewhile
from typing import Any
from urllib.parse import urlsplit

from django.core.validators import URLValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.http.fields import TextField, called_from, visible
from contacts import numbers
from webhooks import addresses

MAX_NUMBERS = 5000
_SEPARATORS = re.compile(r"[,;\r\n]")


@extend_schema_field(
    {
        "oneOf": [
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_NUMBERS},
            {"type": "string", "description": "Separated by commas, semicolons or newlines."},
        ],
        "example": ["+919810012345", "098100 12346"],
    }
)
class NumbersField(serializers.Field):  # type: ignore[type-arg]
    """1 to 5,000 phone numbers, as an array or as one string with commas, semicolons or newlines. Validates to E.164.

    The first invalid number fails the request, and the numbers after it are not parsed. context: account.
    """

    def to_internal_value(self, data: Any) -> list[str]:
        given = [number for number in _SEPARATORS.split(data) if number.strip()] if isinstance(data, str) else data
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
        strings = list(takewhile(lambda number: isinstance(number, str), given))
        try:
            parsed = numbers.parse_all(strings, self.context["account"].region)
        except numbers.InvalidNumber as invalid:
            shown = visible(invalid.number.strip()[:100]) or "an empty text"
            refusal = _refusal(shown, invalid.position, len(given), invalid.reason)
            raise serializers.ValidationError(refusal) from invalid
        if len(parsed) < len(given):
            shown = json.dumps(given[len(parsed)], ensure_ascii=False)[:100]
            raise serializers.ValidationError(_refusal(shown, len(parsed) + 1, len(given)))
        called = called_from(self)
        for position, number in enumerate(parsed, start=1):
            if why_not := called.why_not(number):
                shown, place = visible(given[position - 1].strip()[:100]), f"number {position:,} of {len(given):,}"
                raise serializers.ValidationError(
                    f"{shown} can't be called: {why_not} ({place}); leave it out, and send the request again: nothing"
                    " was stored"
                )
        return parsed

    def to_representation(self, value: Any) -> Any:
        return value


def _refusal(shown: str, position: int, total: int, reason: str = "") -> str:
    why = f": {reason}" if reason else ""
    return (
        f"{shown} is not a valid number{why} (number {position:,} of {total:,}); write it in quotes, as in"
        ' "+919810012345", and send the request again: nothing was stored'
    )


def callback_field() -> TextField:
    """Return a field for the address of a webhook. An empty text removes the address."""
    return TextField(
        required=False,
        allow_blank=True,
        max_length=2048,
        validators=[
            URLValidator(schemes=["http", "https"], message="write an address that begins with http:// or https://"),
            usable_port,
            ReachableByAll(),
        ],
    )


class ReachableByAll:
    """Refuse an address in this server's own networks. It is checked again at each delivery.

    context: look_ups, the time that all addresses of a request share.
    """

    requires_context = True

    def __call__(self, url: str, field: serializers.Field[Any, Any, Any, Any]) -> None:
        if addresses.is_refused(url, field.context["look_ups"]):
            raise serializers.ValidationError(
                "this address is private, loopback or link-local: give one that the public internet reaches"
            )


def usable_port(url: str) -> None:
    """Refuse a port that does not exist: URLValidator takes any five digits."""
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise serializers.ValidationError("its port does not exist: give one from 1 to 65535, or leave it out")
