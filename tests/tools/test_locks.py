"""Everything that make installs has its version and its hashes in a lock, and the locks follow the requirements."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Of another system than this project's own: Windows' colours.
ELSEWHERE = {"colorama"}


def pins(name: str) -> dict[str, str]:
    """Versions by canonical name, as a file of requirements pins them."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,]+\])?==([^\s;\\]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


@pytest.mark.parametrize("name", ["requirements-venv", "requirements", "requirements-dev"])
def test_a_lock_has_what_its_requirements_name_with_hashes(name):
    lock = pins(f"{name}.lock")
    assert pins(f"{name}.txt").items() <= lock.items(), "run make lock"
    for entry in re.split(r"\n(?=\S)", (ROOT / f"{name}.lock").read_text().strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_locks_have_the_versions_of_the_constraints_and_nothing_else():
    dev, runtime, constraints = pins("requirements-dev.lock"), pins("requirements.lock"), pins("constraints.txt")
    assert runtime.items() <= dev.items()
    assert set(dev) - set(constraints) <= ELSEWHERE | {"pip"}
    assert constraints.items() <= dev.items(), "run make lock"


def test_make_installs_from_the_locks_alone():
    commands = [line for line in (ROOT / "Makefile").read_text().splitlines() if "PIP_INSTALL" in line]
    assert all("--require-hashes" in line if ":=" in line else line.endswith(".lock") for line in commands)
