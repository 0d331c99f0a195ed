"""Rules for the people who are called: their hours, caps, quiet times and consent, as named presets in one file."""

from accounts.calling_rules.caps import FOREVER, Cap, parse_cap, time_text, validate_cap
from accounts.calling_rules.preset_file import Preset, presets, validate_name
from accounts.calling_rules.rule import CONVERSATION, EVERYTHING, OPT_OUT, REFUSAL, Place, Rule
from accounts.calling_rules.rules import NO_RULES, HasOwnRules, Rules, has_any, rules_of

__all__ = [
    "CONVERSATION",
    "EVERYTHING",
    "FOREVER",
    "NO_RULES",
    "OPT_OUT",
    "REFUSAL",
    "Cap",
    "HasOwnRules",
    "Place",
    "Preset",
    "Rule",
    "Rules",
    "has_any",
    "parse_cap",
    "presets",
    "rules_of",
    "time_text",
    "validate_cap",
    "validate_name",
]
