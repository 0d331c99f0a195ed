"""`make docs`: the documentation as a site, in .data/site/html.

    python -m tools.docs_site [--folder FOLDER]

Brings the pages of the repository together in one folder, because they link across folders, and lets mkdocs make a site
of them. A link that leads nowhere, or a page that the menu lacks, is an error.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tools.local.project import PROJECT

PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "sandbox/README.md", "docs")
DEFAULT_FOLDER = PROJECT / ".data/site"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make docs", description="Build the documentation as a site.")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where to (default: .data/site)")
    folder = parser.parse_args().folder.resolve()
    _collect(folder / "pages")
    configured = _configuration(folder)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(configured)]
    code = subprocess.run(command, cwd=PROJECT, check=False).returncode
    if not code:
        print(f"written: {folder / 'html/index.html'}")
    return code


def _collect(pages: Path) -> None:
    shutil.rmtree(pages, ignore_errors=True)
    for name in PAGES:
        source, target = PROJECT / name, pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)


def _configuration(folder: Path) -> Path:
    """Write the configuration for this folder, which inherits all else from mkdocs.yml. Returns its path."""
    made = folder / "mkdocs.yml"
    paths = {"docs_dir": str(folder / "pages"), "site_dir": str(folder / "html")}
    made.write_text(yaml.safe_dump({"INHERIT": str(PROJECT / "mkdocs.yml"), **paths}))
    return made


if __name__ == "__main__":
    sys.exit(main())
