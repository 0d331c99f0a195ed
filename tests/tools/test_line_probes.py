"""The figure of `make test` is that of coverage.py: the probes find the statements and the lines that it finds."""

from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from coverage.python import PythonFileReporter

from tests import line_probes
from tools.local.project import PROJECT

SAMPLE = '''"""A module."""

from __future__ import annotations

import functools


@functools.cache
@functools.lru_cache(
    maxsize=3,
)
def used(number: int) -> str:
    """Return what it is."""
    if number == 1:
        text = "one"
    elif number == 2:
        text = (
            "two"
        )
    else:
        text = "many"
    for _ in range(number):
        continue
    else:
        text += "!"
    return text


def not_used() -> None:
    with open("nothing"):
        pass


class Thing:
    name: str = "thing"

    def method(self, value: object) -> object:
        try:
            value = 1 // value
        except ZeroDivisionError:
            value = None
        finally:
            del self
        match value:
            case None:
                return [each for each in "none" if each]
            case int():
                return 1
        while value:
            value = 0
        return value


used(2)
Thing().method(0)
'''


@pytest.fixture
def sample(tmp_path) -> Path:
    path: Path = tmp_path / "sample.py"
    path.write_text(SAMPLE)
    return path


@pytest.fixture
def probes(monkeypatch) -> bytearray:
    """No probes but those of the test, and the bytes that they set."""
    hits = bytearray(len(line_probes._hits))
    monkeypatch.setattr(line_probes, "_probes", [])
    monkeypatch.setitem(__builtins__, line_probes.HITS, hits)
    return hits


def reported(lines: set[int], path: Path) -> tuple[set[int], set[int]]:
    """Return the statements of the file, and those that ran, as coverage.py reports them."""
    reporter = PythonFileReporter(str(path), Coverage(data_file=None, config_file=False))
    statements = reporter.lines()
    return statements, statements & reporter.translate_lines(lines)


def test_the_lines_that_run_are_those_of_a_trace(sample, probes):
    traced = Coverage(data_file=None, config_file=False, include=[str(sample)])
    traced.start()
    exec(compile(SAMPLE, str(sample), "exec"), {"__name__": "sample"})
    traced.stop()
    exec(compile(line_probes.probed(SAMPLE, str(sample)), str(sample), "exec"), {"__name__": "sample"})
    found = line_probes.lines_that_ran(probes)[str(sample)]
    by_trace = set(traced.get_data().lines(str(sample)) or ())
    assert reported(found, sample) == reported(by_trace, sample)
    statements, ran = reported(found, sample)
    assert len(statements) > len(ran) > 20


@pytest.mark.parametrize("file", ["dialer/dispatch.py", "contacts/number_text.py", "core/state_machine.py"])
def test_every_statement_of_the_product_has_a_probe(file, probes):
    path = PROJECT / file
    line_probes.probed(path.read_text(), str(path))
    every: Any = line_probes.lines_that_ran([1] * len(probes))
    statements, probed = reported(every[str(path)], path)
    assert probed == statements
