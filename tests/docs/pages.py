"""The pages of the documentation, and what tests read in them."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sandbox/*.md")])

_CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _CODE_BLOCK.sub("", page.read_text())


def section(page: Path, heading: str) -> str:
    """The text between this heading of the second level and the next one."""
    parts = _SECTION.split(page.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def table(text: str) -> list[list[str]]:
    """The cells of each row of the first table in the text, without its headings."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
