"""`.env.example` lists every variable that settings and Procfile read, and no other, each with its default."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
EXAMPLES = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
READ_BY_PROCFILE = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (ROOT / "Procfile").read_text()))


def test_what_is_read_is_listed_and_what_is_listed_is_read():
    assert set(EXAMPLES) == set(settings.DECLARED)
    assert len(EXAMPLES) > 60


def test_what_the_procfile_reads_is_judged_with_all_settings():
    assert READ_BY_PROCFILE
    assert {name: settings.DECLARED[name].default for name in READ_BY_PROCFILE} == READ_BY_PROCFILE


def test_no_setting_is_read_past_the_one_that_judges_them():
    text = (ROOT / "campaigns_project" / "settings.py").read_text()
    assert text.count("os.environ") == 2, "one for .env, one for Environment"
    assert "getenv" not in text


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_value_that_is_shown_is_the_default(name):
    default = settings.DECLARED[name].default
    assert not default or EXAMPLES[name] == default


def test_every_variable_has_a_comment_above_it():
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in pairwise(lines):
        assert not re.match(r"#[A-Z_]+=", line) or above.startswith("#"), line
