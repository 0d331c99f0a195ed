"""One cheap figure over real processes, as `make bench` measures it."""

import os
import subprocess
import sys
from pathlib import Path

from tools.bench import weights

PROJECT = Path(__file__).parents[3]
RESULTS = PROJECT / "docs" / "operator" / "performance" / "results.json"


def test_a_small_try_measures_and_writes_nothing(of_migrated_data):
    before = RESULTS.read_bytes() if RESULTS.exists() else None
    command = [sys.executable, "-m", "tools.bench", "--only", "creating", "--scale", "0.02"]
    environment = os.environ | of_migrated_data | {"WEB_WORKERS": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "create with 100 numbers over HTTP" in done.stdout
    assert f"Processes of whole systems: {weights.chosen(alike=False)}." in " ".join(done.stdout.split())
    assert (RESULTS.read_bytes() if RESULTS.exists() else None) == before


def test_an_unknown_figure_is_refused_with_the_known_ones():
    command = [sys.executable, "-m", "tools.bench", "--only", "speed"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "unknown: speed; there is: attempts, channels" in done.stderr
