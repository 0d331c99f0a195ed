"""`make audit` fails for a vulnerability; without its data it neither fails nor claims to have checked."""

import json
import subprocess

import pytest

from tools import audit

NOT_CHECKED = "pip-audit: not checked, its data can't be reached\n"
GOOD = {"name": "django", "version": "6.0", "vulns": []}
BAD = {"name": "requests", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
UNKNOWN = {"name": "vine", "skip_reason": "Dependency not found on PyPI and could not be audited: vine (5.1.0)"}


def found(*packages):
    return json.dumps({"dependencies": list(packages), "fixes": []})


def test_a_known_vulnerability_fails_and_is_named(capsys):
    assert audit.judge(found(GOOD, BAD, UNKNOWN), "Found 1 known vulnerability in 1 package") == 1
    assert "requests 2.0 has PYSEC-1; fixed in 2.1" in capsys.readouterr().out


def test_a_clean_list_passes_and_says_what_was_not_looked_at(capsys):
    assert audit.judge(found(GOOD, UNKNOWN), "") == 0
    out = capsys.readouterr().out
    assert "no known vulnerability in 1 packages" in out
    assert "no data on vine" in out


@pytest.mark.parametrize(
    ("output", "errors"),
    [
        ("", "requests.exceptions.ConnectionError: Max retries exceeded"),
        ("", "ERROR:pip_audit._cli:Tip: your network may be blocking this service."),
        ("", "pip_audit._service.interface.ServiceError"),
        (found(UNKNOWN, UNKNOWN), "No known vulnerabilities found, 2 dependencies skipped"),
    ],
)
def test_data_out_of_reach_is_said_and_passes(capsys, output, errors):
    assert audit.judge(output, errors) == 0
    assert capsys.readouterr().out == NOT_CHECKED


def test_data_that_takes_too_long_is_out_of_reach(capsys, monkeypatch):
    def slow(*_, timeout, **__):
        raise subprocess.TimeoutExpired("pip-audit", timeout)

    monkeypatch.setattr(subprocess, "run", slow)
    assert audit.main() == 0
    assert capsys.readouterr().out == NOT_CHECKED


def test_an_error_of_this_project_is_not_taken_for_data_out_of_reach(capsys):
    assert audit.judge("", "ERROR:pip_audit._cli:requirement foo is not pinned to an exact version") == 1
    assert "not pinned" in capsys.readouterr().err
