"""A short `make chaos`: a few of its faults, once each, so that the guarantees and the harness keep working."""

import subprocess
import sys

from tools.local.project import PROJECT

# One for each kind: a crash at a step, Redis, PostgreSQL, the carrier and the clock, poison.
ROWS = "1e,4b,5b,6j,10b"


def test_the_guarantees_hold_under_faults(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tools.chaos",
        "--rows",
        ROWS,
        "--seeds",
        "1",
        "--lanes",
        "2",
        "--keep-logs",
        tmp_path,
    ]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "kill -9 in placing, after the ring" in ran.stdout


def test_an_unknown_fault_is_named(tmp_path):
    command = [sys.executable, "-m", "tools.chaos", "--rows", "1x"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "--rows 1x: there are 1a, 1b" in ran.stderr
