"""Public holidays by country and state: `IN`, `IN-TN`, `US-AL`. The library is loaded with the first question."""

from datetime import date
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError


def is_holiday(day: date, calendar: str) -> bool:
    """Tell whether the date is a public holiday of this calendar, days in lieu included."""
    return day in of_year(calendar, day.year)


@lru_cache(maxsize=1024)
def of_year(calendar: str, year: int) -> frozenset[date]:
    """Return the holidays of a calendar in a year. Raises ValueError for a calendar that is not known."""
    country, _, state = calendar.partition("-")
    if state not in {"", *known().get(country, ())} or country not in known():
        raise ValueError(f"{calendar} is not a calendar of public holidays: use a code such as IN, IN-TN or US-AL")
    # Some holidays are observed in the year before: 1 January 2028 on Friday, 31 December 2027.
    days = _library().country_holidays(country, subdiv=state or None, years=(year - 1, year, year + 1))
    return frozenset(day for day in days if day.year == year)


@lru_cache(maxsize=1)
def known() -> dict[str, list[str]]:
    """Return the countries that have a calendar, each with its states."""
    countries: dict[str, list[str]] = _library().list_supported_countries()
    return countries


def validate_calendar(calendar: str) -> None:
    """Refuse calendars that the library does not have."""
    try:
        of_year(calendar, 2000)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def _library() -> Any:
    # A tenth of a second and a few megabytes, for accounts that use it.
    import holidays

    return holidays
