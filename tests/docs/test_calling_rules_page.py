"""The page on rules: its table is that of the presets, each with its source and dates."""

from accounts.calling_hours import week_text
from accounts.calling_rules import Preset, Rule, presets, time_text
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "operator" / "calling-rules.md"


def what(rule: Rule) -> str:
    """Say in words what a rule demands."""
    parts = [week_text(rule.hours)] if rule.hours else []
    parts += ["no public holidays"] * rule.no_holidays
    parts += map(str, rule.caps)
    parts += [f"none for {time_text(time)} after a {after}" for after, time in rule.quiet_after]
    parts += [f"consent ({rule.needs_consent})"] * bool(rule.needs_consent)
    parts += [f"rings for {rule.rings_at_least} s at least"] * bool(rule.rings_at_least)
    where = f"{', '.join(sorted(rule.regions))}: " if rule.regions else ""
    since = f" (from {rule.starts})" if rule.starts else ""
    return where + "; ".join(parts) + since


def row(preset: Preset) -> str:
    held = " · ".join(map(what, preset.rules)) or "nothing"
    cells = (f"`{preset.name}`", preset.title, held, "; ".join(preset.not_enforced), preset.source, str(preset.as_of))
    return f"| {' | '.join(cells)} |"


def test_the_table_is_that_of_the_presets():
    text = PAGE.read_text("utf-8")
    missing = [preset.name for preset in presets().values() if row(preset) not in text]
    assert not missing, "\n".join(row(preset) for preset in presets().values())


def test_the_page_says_what_it_is_not():
    assert "not legal advice" in PAGE.read_text("utf-8")
