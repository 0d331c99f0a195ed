"""What a contact may say of itself for the rules: its time zone, and the consent that the person gave."""

from collections.abc import Callable, Mapping
from datetime import date

from django.core.exceptions import ValidationError

from contacts import zones
from contacts.address_book import RULE_COLUMNS
from contacts.models import ConsentScope


def covers(scope: str, needed: str) -> bool:
    """Tell whether consent of this scope, "" for none, is the one that a rule needs."""
    return not needed or scope in {needed, ConsentScope.ALL.value}


def read(values: Mapping[str, str]) -> dict[str, str]:
    """Return those of the columns that have a value, as they are stored.

    Raises:
        ValidationError: one of them makes no sense; the message names it.
    """
    given = {name: value for name in RULE_COLUMNS if (value := values.get(name, "").strip())}
    if "time_zone" in given:
        given["time_zone"] = _named("time_zone", zones.validate_zone, given["time_zone"])
    if given.keys() & set(RULE_COLUMNS[1:]):
        given["consent_date"] = _named("consent_date", _validate_date, given.get("consent_date", ""))
        given["consent_scope"] = _named("consent_scope", _validate_scope, given.get("consent_scope", ""))
    return given


def _named(name: str, validate: Callable[[str], str], value: str) -> str:
    try:
        return validate(value)
    except ValidationError as error:
        raise ValidationError(f"{name}: {error.message}") from error


def _validate_date(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValidationError(f"write the day as 2026-01-31, not {text[:40]}" if text else "is missing") from error
    return day.isoformat()


def _validate_scope(text: str) -> str:
    if text not in ConsentScope.values:
        says = f"{text[:40]} is not one" if text else "is missing"
        raise ValidationError(f"{says}: use {', '.join(ConsentScope.values[:-1])} or {ConsentScope.ALL}")
    return text
