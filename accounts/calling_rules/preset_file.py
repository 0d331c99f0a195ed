"""The presets of `presets.toml`: named sets of rules, each with its source and the date as of which it was read."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from accounts.calling_hours import parse_week
from accounts.calling_rules.caps import parse_cap, parse_time
from accounts.calling_rules.rule import Rule

FILE = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True)
class Preset:
    """A named set of rules.

    Attributes:
        source: where its figures are from. as_of: when they were read there.
        not_enforced: what the source demands beyond it, in words.
    """

    name: str
    title: str
    source: str
    as_of: date
    rules: tuple[Rule, ...]
    not_enforced: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def presets() -> Mapping[str, Preset]:
    """Return all presets by name, in the order of the file."""
    return {name: _preset(name, row) for name, row in tomllib.loads(FILE.read_text("utf-8")).items()}


def validate_name(name: str) -> None:
    """Refuse the name of a rule set that does not exist, and list those that do."""
    if name not in presets():
        raise ValidationError(f"there is no rule set {name[:40]}; there are {', '.join(presets())}")


def _preset(name: str, row: Mapping[str, Any]) -> Preset:
    countries = frozenset(row["countries"])
    rules = tuple(_rule(name, countries, rule) for rule in row["rules"])
    return Preset(name, row["title"], row["source"], row["as_of"], rules, tuple(row.get("not_enforced", ())))


def _rule(preset: str, countries: frozenset[str], row: Mapping[str, Any]) -> Rule:
    return Rule(
        preset=preset,
        countries=countries,
        regions=frozenset(row.get("regions", ())),
        starts=row.get("starts"),
        hours=parse_week(row["hours"]) if "hours" in row else None,
        no_holidays=row.get("no_holidays", False),
        caps=tuple(map(parse_cap, row.get("caps", ()))),
        quiet_after=tuple((what, parse_time(time)) for what, time in row.get("quiet_after", {}).items()),
        needs_consent=row.get("needs_consent", ""),
        rings_at_least=row.get("rings_at_least", 0),
    )
