"""What holds for a number that is called: which rules apply where it is, and what they demand.

Several rules hold at once, and the strictest of them decides: a moment must be inside the hours of all, and no cap may
be exceeded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from accounts.calling_hours import HORIZON_DAYS, CallingHours
from accounts.calling_rules.caps import Cap, parse_cap
from accounts.calling_rules.preset_file import presets
from accounts.calling_rules.rule import EVERYTHING, Place, Rule
from core.time_zones import canonical

# Time zones that a sentence names. A mobile number of a large country may be in eight.
MOST_ZONES = 3


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of an account and a campaign. Compared by identity: `rules_of` returns the same for the same.

    Attributes:
        rules: of the presets.
        own_caps: of the account.
        gap: the shortest time between two calls to a number.
        unknown: names of sets that this version has not: nobody knows what they ask, so that nobody is called.
    """

    rules: tuple[Rule, ...] = ()
    own_caps: tuple[Cap, ...] = ()
    gap: timedelta = timedelta()
    unknown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to ask of a number."""
        return bool(self.rules or self.own_caps or self.gap or self.unknown)

    def to(self, place: Place, at: datetime) -> "Rules":
        """Return those that hold for a number at this place from `at` on."""
        if not self.rules:
            return self
        day = max((at.astimezone(ZoneInfo(zone)).date() for zone in place.zones), default=at.date())
        return _narrowed(self, place.zones, place.country, place.region, day)

    def next_open(self, place: Place, at: datetime) -> datetime | None:
        """Return the first moment (UTC) from `at` on that is inside the hours of all rules in all zones of the place.

        Returns:
            `at` itself where it is; None where there is none within the horizon.
        """
        if not self.rules:
            return at
        return _next_open(_hours(self, place.zones, place.country, place.region), at)

    def is_open(self, place: Place, at: datetime) -> bool:
        """Tell whether `at` is inside the hours of all rules in all zones of the place."""
        if not self.rules:
            return True
        return all(hours.is_open(at) for hours in _hours(self, place.zones, place.country, place.region))

    def hours_text(self, place: Place) -> str:
        """Write the hours of all rules at this place, for sentences: `08:00-21:00 America/Denver, America/Boise`."""
        zones: dict[str, dict[str, None]] = {}
        for hours in _hours(self, place.zones, place.country, place.region):
            zones.setdefault(hours.clock, {})[hours.zone.key] = None
        return " and ".join(f"{clock} {_some(list(names))}" for clock, names in zones.items())

    @cached_property
    def caps(self) -> tuple[Cap, ...]:
        return tuple(dict.fromkeys((*self.own_caps, *(cap for rule in self.rules for cap in rule.caps))))

    @cached_property
    def quiet_after(self) -> Mapping[str, timedelta]:
        """Return the longest quiet time after each: conversation, refusal, opt-out."""
        longest: dict[str, timedelta] = {}
        for rule in self.rules:
            for what, time in rule.quiet_after:
                longest[what] = max(time, longest.get(what, time))
        return longest

    @cached_property
    def remembered(self) -> frozenset[timedelta]:
        """Return for how long the rules count calls to a number, of each that counts any."""
        return frozenset({self.gap, *(cap.within for cap in self.caps), *self.quiet_after.values()} - {timedelta()})

    @cached_property
    def needs_consent(self) -> str:
        """Return the scope of consent that is demanded; `all` where rules demand different ones, "" where none does."""
        scopes = {rule.needs_consent for rule in self.rules} - {""}
        return scopes.pop() if len(scopes) == 1 else EVERYTHING if scopes else ""

    @property
    def rings_at_least(self) -> int:
        """Return the seconds for which a phone must ring that nobody answers; 0 where no rule says."""
        return max((rule.rings_at_least for rule in self.rules), default=0)

    def has_hours(self) -> bool:
        return any(rule.hours is not None or rule.no_holidays for rule in self.rules)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rule.preset for rule in self.rules))


NO_RULES = Rules()


class HasRules(Protocol):
    """An account, as far as it is read here."""

    @property
    def rules(self) -> Sequence[str]: ...
    @property
    def number_caps(self) -> Sequence[str]: ...
    @property
    def number_gap_seconds(self) -> int: ...


class HasOwnRules(Protocol):
    """A campaign, as far as it is read here. waived_rules: those of its account that don't hold for it."""

    @property
    def rules(self) -> Sequence[str]: ...
    @property
    def waived_rules(self) -> Sequence[str]: ...


def has_any(account: HasRules, campaign: HasOwnRules | None = None) -> bool:
    """Tell whether the account or the campaign has rules, caps or a gap at all, waived for the campaign or not."""
    own = campaign.rules if campaign else ()
    return bool(account.rules or account.number_caps or account.number_gap_seconds or own)


def rules_of(account: HasRules, campaign: HasOwnRules | None = None) -> Rules:
    """Return the rules of the account and, added to them, those of the campaign; less those that were waived for it."""
    if not has_any(account, campaign):
        return NO_RULES
    waived, own = (campaign.waived_rules, campaign.rules) if campaign else ((), ())
    names = [name for name in account.rules if name not in waived]
    return _made((*names, *own), tuple(account.number_caps), account.number_gap_seconds)


@lru_cache(maxsize=1024)
def _made(names: tuple[str, ...], caps: tuple[str, ...], gap_seconds: int) -> Rules:
    known = presets()
    rules = tuple(rule for name in dict.fromkeys(names) if name in known for rule in known[name].rules)
    unknown = tuple(name for name in dict.fromkeys(names) if name not in known)
    return Rules(rules, tuple(map(parse_cap, caps)), timedelta(seconds=gap_seconds), unknown)


def _some(zones: list[str]) -> str:
    """Name a few of the zones, and how many more there are."""
    more = len(zones) - MOST_ZONES
    return ", ".join(zones[:MOST_ZONES]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class _Place:
    zones: tuple[str, ...]
    country: str
    region: str


@lru_cache(maxsize=16_384)
def _narrowed(rules: Rules, zones: tuple[str, ...], country: str, region: str, day: date) -> Rules:
    place = _Place(zones, country, region)
    held = tuple(rule.at(day) for rule in rules.rules if rule.applies_in(place))
    return Rules(held, rules.own_caps, rules.gap, rules.unknown)


@lru_cache(maxsize=16_384)
def _hours(rules: Rules, zones: tuple[str, ...], country: str, region: str) -> tuple[CallingHours, ...]:
    """Return the different hours that hold at a place."""
    place = _Place(tuple(dict.fromkeys(map(canonical, zones))), country, region)
    applied = (rule for rule in rules.rules if rule.applies_in(place))
    return tuple(dict.fromkeys(hours for rule in applied for hours in rule.hours_in(place)))


def _next_open(all_hours: Iterable[CallingHours], at: datetime) -> datetime | None:
    all_hours, moment, horizon = tuple(all_hours), at, at + timedelta(days=HORIZON_DAYS)
    while moment < horizon:
        later = moment
        for hours in all_hours:
            opening = hours.opening(later)
            if opening is None:
                return None
            later = opening
        if later == moment:
            return moment
        moment = later
    return None
