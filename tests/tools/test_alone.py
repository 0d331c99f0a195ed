"""Failed tests that `make test` runs again, alone."""

import json
from pathlib import Path

import pytest

from tests import alone

# Passes from the second run on, as a test does whose failure came from what ran beside it.
FLAKY = """
from pathlib import Path

def test_flaky():
    mark = Path(__file__).with_name("run_before")
    ran_before = mark.exists()
    mark.touch()
    assert ran_before

def test_wrong():
    assert False
"""


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Returns a function that leaves tests as failed by a first run, in a folder of two tests."""
    (tmp_path / "test_few.py").write_text(FLAKY)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:django\n")
    record = tmp_path / "lastfailed"
    monkeypatch.setattr(alone, "ROOT", tmp_path)
    monkeypatch.setattr(alone, "FAILED", record)

    def leave(*nodeids: str) -> None:
        record.write_text(json.dumps(dict.fromkeys(nodeids, True)))

    return leave


def test_one_that_passes_alone_is_named_as_flaky(failed, tmp_path, capfd) -> None:
    failed("test_few.py::test_flaky")
    (tmp_path / "run_before").touch()

    assert alone.main(pytest.ExitCode.TESTS_FAILED) == 0
    assert (
        capfd.readouterr()
        .out.rstrip()
        .endswith("FLAKY, to be mended (docs/developer/testing.md):\n  test_few.py::test_flaky")
    )


def test_one_that_fails_alone_too_fails_the_run(failed, capfd) -> None:
    failed("test_few.py::test_wrong", "test_few.py::test_flaky")

    assert alone.main(pytest.ExitCode.TESTS_FAILED) == pytest.ExitCode.TESTS_FAILED
    assert "FLAKY" not in capfd.readouterr().out


@pytest.mark.parametrize("exit_code", [code for code in pytest.ExitCode if code not in {0, 1}])
def test_a_run_that_was_cut_short_is_not_made_good(failed, exit_code: pytest.ExitCode) -> None:
    failed("test_few.py::test_flaky")

    assert alone.main(exit_code) == exit_code


@pytest.mark.parametrize(
    "nodeids",
    [
        [],
        [f"tests/api/test_lists.py::test_{number}" for number in range(alone.MOST + 1)],
        ["tests/api/test_lists.py::test_it", "tests/tools/test_chaos.py::test_a_short_chaos"],
        ["tests/dialer/test_races.py::test_two_dispatches"],
        ["tests/dialer/test_channels_stateful.py::TestChannels::runTest"],
    ],
)
def test_many_failures_and_those_of_a_guarantee_are_final(failed, nodeids: list[str]) -> None:
    failed(*nodeids)

    assert alone.main(pytest.ExitCode.TESTS_FAILED) == pytest.ExitCode.TESTS_FAILED


def test_what_is_final_exists() -> None:
    files = [str(path.relative_to(alone.ROOT)) for path in (alone.ROOT / "tests").rglob("test_*.py")]

    assert all(any(place in file for file in files) for place in alone.FINAL)
