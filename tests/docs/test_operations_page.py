"""What the operations page names is in the code: log events, metrics, parts of /readyz, settings."""

import re

import pytest

from tests.docs.pages import ROOT, section, table

PAGE = ROOT / "docs" / "operator" / "operations.md"
PACKAGES = (
    *("accounts", "api", "campaigns", "campaigns_project", "contacts", "core", "dialer", "reports", "retention"),
    *("sipgateway", "webhooks"),
)
CODE = "\n".join(file.read_text() for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
HEALTH = section(PAGE, "Is it well?")


def first_cells(heading: str) -> list[str]:
    """The names in the first column of the table below this heading."""
    below = HEALTH.split(f"{heading}\n", 1)[1]
    return [name.split("{")[0] for row in table(below.split("###")[0]) for name in re.findall(r"`([^`]+)`", row[0])]


@pytest.mark.parametrize("event", first_cells("### Logs"))
def test_a_log_event_of_the_page_is_logged(event):
    assert re.search(rf"""log\.\w+\(\s*"{event}""", CODE), f"nothing logs {event}"


@pytest.mark.parametrize("metric", first_cells("### Metrics"))
def test_a_metric_of_the_page_is_exported(metric):
    exported = (ROOT / "campaigns_project" / "metrics.py").read_text()
    assert re.search(rf"""["_]{metric.removesuffix("_total")}["]""", exported), f"/metrics has no {metric}"


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)[`=]", PAGE.read_text()))))
def test_a_variable_of_the_page_is_in_the_example_of_the_environment(variable):
    assert f"#{variable}=" in (ROOT / ".env.example").read_text()


def test_the_new_log_events_of_the_changelog_are_logged():
    renamed = (ROOT / "CHANGELOG.md").read_text().partition("### Renamed")[2]
    events = [
        name for what, _, new in table(renamed) if what == "log events" for name in re.findall(r"`(\w+_\w+)`", new)
    ]
    assert events
    assert not [event for event in events if f'"{event}"' not in CODE]
