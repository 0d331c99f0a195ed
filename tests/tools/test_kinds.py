"""The lists of tests that are left out of `make test-quick`, or stay on one worker, name what there is."""

import pytest

from tests import kinds
from tools.local.project import PROJECT


@pytest.mark.parametrize("place", sorted({*kinds.SYSTEM, *kinds.SHARED}))
def test_a_place_that_is_named_exists(place):
    path, _, name = place.partition("::")
    assert (PROJECT / path).exists()
    assert not name or f"def {name.rpartition('::')[2]}" in (PROJECT / path).read_text()


def test_files_of_which_nothing_runs_are_not_imported(pytestconfig, monkeypatch):
    monkeypatch.setattr(pytestconfig.option, "markexpr", "not system")
    left_out = {path for path in PROJECT.glob("tests/*/*.py") if kinds.pytest_ignore_collect(path, pytestconfig)}
    assert PROJECT / "tests/api/test_schemathesis.py" in left_out
    assert PROJECT / "tests/api/test_any_json.py" not in left_out
    assert kinds.pytest_ignore_collect(PROJECT / "tests/acceptance", pytestconfig)
    monkeypatch.setattr(pytestconfig.option, "markexpr", "")
    assert not [path for path in left_out if kinds.pytest_ignore_collect(path, pytestconfig)]
