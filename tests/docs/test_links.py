"""Every link, file and name of the code in the documentation exists: a move in the code is a move in its pages too."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from campaigns_project.celery import app
from tests.docs.pages import PAGES, ROOT, name_of, prose

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
# `campaigns/lifecycle.py`, `dialer/carriers/`, `channels.lua`: paths from the root of the repository, or a file's name.
PATH = re.compile(r"`((?:[\w.*-]+/)+[\w.*-]*|[\w-]+\.(?:json|lua|md|py|sh|toml|txt|ya?ml))`")
# `dialer.gate.check`, `campaigns.models.Call`: a name of the code, from its package on.
NAME = re.compile(
    r"`((?:accounts|api|campaigns|campaigns_project|contacts|core|dialer|reports|sipgateway|webhooks)(?:\.\w+)+)`"
)
# Written by programs, or not there yet: examples in the how-to pages.
EXAMPLES = {"deploy/.env", ".data/", ".data/demo/report.csv", ".hypothesis/", ".venv/"}


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub and its like make them."""
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page))]
    return frozenset(heading.replace(" ", "-") for heading in words)


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if not re.match(r"https?:", link)]


@cache
def file_names() -> frozenset[str]:
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return frozenset(path.name for folder in folders for path in [folder, *folder.rglob("*")])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: the page has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page):
    for path in sorted(set(PATH.findall(prose(page))) - EXAMPLES):
        found = list(ROOT.glob(path)) if "*" in path else (ROOT / path).exists() or path in file_names()
        assert found, f"{path} is not in the repository"


# The changelog names what is gone as well.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_every_name_of_the_code_exists(page):
    for name in sorted(set(NAME.findall(prose(page)))):
        exists = name in app.tasks or is_in_the_code(name)
        assert exists, f"{name} is not in the code"


def is_in_the_code(name: str) -> bool:
    """Whether the dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        found = [target / "README.md" if target.is_dir() else target for target in targets]
        waiting += [page for page in found if page.suffix == ".md" and page.exists() and page not in reached]
    assert not [name_of(page) for page in PAGES if page not in reached]


def test_every_page_that_the_code_names_exists():
    """A prefix will do: `docs/decisions/0007`."""
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and folder.name.isidentifier()]
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", *(file for folder in folders for file in folder.rglob("*.py"))]
    named = {name.rstrip(".") for file in files for name in re.findall(r"(?<!tests/)\bdocs/[\w./-]+", file.read_text())}
    assert not [name for name in sorted(named) if not list(ROOT.glob(f"{name.rstrip('/')}*"))]
