"""Run the few tests again, alone, that failed while several workers ran: the second half of `make test`.

    python -m pytest -n auto --cache-clear || python -m tests.alone $?

Tests of real processes share two cores with three others. One in ten thousand may wait too long for a page or a port,
and says then nothing of the code. Alone, it must pass; it is named, to be mended: docs/decisions/0081.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAILED = ROOT / ".pytest_cache/v/cache/lastfailed"
MOST = 3
"""More failures than these are no accident."""

# What these find may be a race that shows itself once in a thousand runs: each failure counts.
FINAL = ("tests/tools/test_chaos", "tests/dialer/test_races.py", "_stateful.py", "tests/acceptance/test_campaign.py")


def may_run_again(failed: list[str]) -> bool:
    """Whether the tests of these ids may prove alone that their failure was one of the crowd."""
    return 0 < len(failed) <= MOST and not any(place in nodeid for nodeid in failed for place in FINAL)


def main(exit_code: int) -> int:
    """Return the exit code of the tests that were run again, or the one of the first run where none may be."""
    if exit_code != pytest.ExitCode.TESTS_FAILED:
        return exit_code
    failed = sorted(json.loads(FAILED.read_text()))
    if not may_run_again(failed):
        return exit_code
    print(f"\nRunning {len(failed)} failed tests again, alone:", *failed, sep="\n  ", flush=True)
    again = subprocess.run([sys.executable, "-m", "pytest", *failed], cwd=ROOT, check=False).returncode
    if again == pytest.ExitCode.OK:
        print("\nFLAKY, to be mended (docs/developer/testing.md):", *failed, sep="\n  ")
    return again


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
