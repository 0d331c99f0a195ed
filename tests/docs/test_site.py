"""The documentation as a site: every page is in its menu, and every link leads somewhere."""

import subprocess
import sys

from tests.docs.pages import ROOT
from tools import docs_site


def test_the_site_is_built_strictly(tmp_path):
    command = [sys.executable, "-m", "tools.docs_site", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "html/index.html").read_text()
    assert "make demo" in page
    # Whoever reads it asks no other host for a font or a script.
    assert "https://fonts." not in page
    assert 'src="https://' not in page


def test_a_link_that_leads_nowhere_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(docs_site, "PROJECT", tmp_path)
    monkeypatch.setattr(docs_site, "PAGES", ("README.md",))
    (tmp_path / "README.md").write_text("# A page\n\n[nowhere](nowhere.md)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nvalidation: {unrecognized_links: warn}\n")
    monkeypatch.setattr(sys, "argv", ["make docs", "--folder", str(tmp_path / "made")])
    assert docs_site.main() == 1
