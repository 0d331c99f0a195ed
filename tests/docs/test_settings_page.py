"""The page of settings and checks has those of the code."""

import re
from pathlib import Path

from django.conf import settings

from tests.docs.pages import ROOT, section, table

PAGE = ROOT / "docs" / "operator" / "settings.md"
CHECKS = section(PAGE, "What is checked of the servers")
FILES = (
    *(f"campaigns_project/{name}.py" for name in ("server_checks", "redis_memory", "readiness", "database_session")),
    "dialer/redis_owner.py",
)
CODE = "\n".join((ROOT / name).read_text() for name in FILES)


def settings_table() -> str:
    rows = [
        f"| `{setting.name}` | {setting.allowed} | {f'`{setting.default}`' if setting.default else ''} |"
        for setting in settings.DECLARED.values()
    ]
    return "\n".join(
        ["| setting | must be | default |", "|---|---|---|", *(row.replace(" |  |", " | |") for row in rows)]
    )


def test_every_setting_is_listed_with_what_it_must_be():
    text = PAGE.read_text()
    shown = re.search(r"<!-- settings: begin -->\n(.*?)\n?<!-- settings: end -->", text, re.DOTALL)
    assert shown
    assert shown[1].strip() == settings_table(), f"put this between the marks:\n{settings_table()}"


def test_every_check_of_the_page_is_made_and_every_check_is_on_the_page():
    rows = table(CHECKS)
    told = [fragment for row in rows for fragment in re.findall(r"`([^`]+)`", row[1])]
    squeezed = re.sub(r'"\s*\n?\s*f?"', "", CODE)
    assert not [fragment for fragment in told if fragment not in squeezed and fragment not in CODE]
    kinds = set(re.findall(r'(?:Problem|Finding)\("([a-z-]+)"', CODE)) - {"trunks", "caller-ids"}
    assert {re.findall(r"`([^`]+)`", row[0])[0] for row in rows} == kinds


def test_the_page_is_linked_from_operations():
    assert "(settings.md)" in Path(ROOT, "docs/operator/operations.md").read_text()
