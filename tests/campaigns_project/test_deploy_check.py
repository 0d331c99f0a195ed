"""`manage.py check --deploy` finds nothing on a server that is set up for production, and reports what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "PUBLIC_URL": "https://trunkline.example",
    "SECRET_KEY": "o7Pz3vQm1XkT9bLw5NcR8yHd2JfG4sUa6EiVtBqZnMxCpYrDhK",
    "DEBUG": "False",
    "BEHIND_TLS_PROXY": "True",
}


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the check strictly: a warning makes it fail."""
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    whole = os.environ | PRODUCTION | environment
    return subprocess.run(command, cwd=ROOT, env=whole, capture_output=True, text=True, timeout=120, check=False)


def test_production_is_clean():
    run = check()
    assert run.returncode == 0, run.stderr
    assert "no issues" in run.stdout


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"DEBUG": "True"}, "You should not have DEBUG set to True in deployment"),
        ({"SECRET_KEY": "o7Pz3vQm1XkT9bLw5NcR8yHd2JfG4sUa"}, "Your SECRET_KEY has less than 50 characters"),
        ({"PUBLIC_URL": "http://trunkline.example"}, "SECURE_SSL_REDIRECT"),
    ],
)
def test_what_is_missing_is_reported(environment, sentence):
    run = check(**environment)
    assert run.returncode == 1
    assert sentence in " ".join(run.stderr.split())


def test_a_short_secret_key_stops_the_start_with_the_way_out():
    run = check(SECRET_KEY="x" * 31)
    assert run.returncode == 78
    assert "SECRET_KEY is •••• (31 characters): it must be a random text of 32 characters or more" in run.stderr
    assert "Make one with: python -c" in run.stderr
    assert "Traceback" not in run.stderr
