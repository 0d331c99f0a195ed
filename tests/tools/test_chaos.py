"""A short `make chaos`: a few of its faults, once each, so that the guarantees and the harness keep working."""

import os
import subprocess
import sys

import pytest

from tools.local.project import PROJECT

# One for each kind: a crash at a step, Redis, PostgreSQL, the carrier and the clock, poison. And one of a carrier that
# asks for its flows step by step, signs, and tells of each step of a call.
ROWS = "1e,4b,5b,6j,10b,6a@twilio"


@pytest.mark.timeout(600)  # two minutes alone, more beside other workers
def test_the_guarantees_hold_under_faults(tmp_path, of_migrated_data):
    command = [
        sys.executable,
        "-m",
        "tools.chaos",
        "--rows",
        ROWS,
        "--seeds",
        "1",
        "--lanes",
        "1",  # the start of a second system takes more of two processors than the lane saves
        "--keep-logs",
        tmp_path,
    ]
    environment = os.environ | of_migrated_data
    ran = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=560, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "kill -9 in placing, after the ring" in ran.stdout
    assert "6a@twilio" in ran.stdout


def test_an_unknown_fault_is_named(tmp_path):
    command = [sys.executable, "-m", "tools.chaos", "--rows", "1x"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "--rows 1x: there are 1a, 1b" in ran.stderr
