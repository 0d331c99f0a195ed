"""Public holidays by country and state: `IN`, `IN-TN`, `US-AL`. The library is loaded with the first question."""

import warnings
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
    if not is_known(calendar):
        raise ValueError(f"{calendar} is not a calendar of public holidays: use IN, IN-TN, US-AL or the like")
    with warnings.catch_warnings():
        # Of years for which it knows the fixed holidays only, such as India's before 2001 and after 2035.
        warnings.simplefilter("ignore")
        # Some holidays are observed in the year before: 1 January 2028 on Friday, 31 December 2027.
        days = _library().country_holidays(country, subdiv=state or None, years=(year - 1, year, year + 1))
    return frozenset(day for day in days if day.year == year)


def is_known(calendar: str) -> bool:
    """Tell whether there is a calendar of this name."""
    country, _, state = calendar.partition("-")
    return country in known() and state in {"", *known()[country]}


@lru_cache(maxsize=1)
def known() -> dict[str, list[str]]:
    """Return the countries that have a calendar, each with its states."""
    countries: dict[str, list[str]] = _library().list_supported_countries()
    return {country: states for country, states in countries.items() if len(country) == 2}


def validate_calendar(calendar: str) -> None:
    """Refuse calendars that the library does not have."""
    if not is_known(calendar):
        raise ValidationError(
            f"{calendar[:8]} is not a calendar of public holidays: use a code such as IN, IN-TN or US-AL"
        )


def _library() -> Any:
    # A tenth of a second and a few megabytes, for accounts that use it.
    import holidays

    return holidays
