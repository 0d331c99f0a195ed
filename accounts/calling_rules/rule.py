"""One rule for the people who are called: where it applies, from when on, and what it demands."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from accounts import public_holidays
from accounts.calling_hours import MIDNIGHT, CallingHours, Week
from accounts.calling_rules.caps import Cap

# After what a number may have a quiet time.
CONVERSATION, REFUSAL, OPT_OUT = "conversation", "refusal", "opt-out"
# Consent of this scope covers every other.
EVERYTHING = "all"


class Place(Protocol):
    """Where the phone of a number is taken to be.

    zones: names of all time zones that it may be in. country, region: codes such as US and FL, or "".
    """

    @property
    def zones(self) -> tuple[str, ...]: ...
    @property
    def country(self) -> str: ...
    @property
    def region(self) -> str: ...


@dataclass(frozen=True)
class Rule:
    """One row of a preset.

    Attributes:
        preset: its name.
        countries, regions: where it applies; empty: everywhere, in all regions.
        starts: the first date on which it holds; None: it holds already.
        hours: of the recipient; None: any.
        no_holidays: whether nobody is called on public holidays of the country and the region.
        quiet_after: how long nobody is called after a `conversation`, a `refusal` or an `opt-out`.
        needs_consent: the scope of consent that it demands, or "".
        rings_at_least: seconds for which a phone must ring that nobody answers.
    """

    preset: str
    countries: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    starts: date | None = None
    hours: Week | None = None
    no_holidays: bool = False
    caps: tuple[Cap, ...] = ()
    quiet_after: tuple[tuple[str, timedelta], ...] = ()
    needs_consent: str = ""
    rings_at_least: int = 0

    def applies_in(self, place: Place) -> bool:
        return (not self.countries or place.country in self.countries) and (
            not self.regions or place.region in self.regions
        )

    def hours_in(self, place: Place) -> Iterator[CallingHours]:
        """Yield the hours in each zone of the place."""
        if self.hours is None and not self.no_holidays:
            return
        calendars = _calendars(place) if self.no_holidays else ()
        for zone in place.zones:
            yield CallingHours(MIDNIGHT, MIDNIGHT, ZoneInfo(zone), self.hours, calendars, starts=self.starts)

    def at(self, day: date) -> "Rule":
        """Return what holds of it on a date. Hours that begin later stay: they look ahead themselves."""
        if self.starts is None or self.starts <= day:
            return self
        return replace(self, caps=(), quiet_after=(), needs_consent="")


def _calendars(place: Place) -> tuple[str, ...]:
    """Return the calendars of the place's holidays, the state's where it has one."""
    states = public_holidays.known().get(place.country)
    if states is None:
        return ()
    return (f"{place.country}-{place.region}",) if place.region in states else (place.country,)
