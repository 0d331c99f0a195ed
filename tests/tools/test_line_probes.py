"""The figure of `make test` is that of coverage.py: the probes find the statements and the lines that it finds."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from coverage import Coverage
from coverage.python import PythonFileReporter

from tests import line_probes
from tests.services import RUN_FOLDER
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


def reported(lines: set[int], path: Path) -> tuple[set[int], set[int]]:
    """Return the statements of the file, and those that ran, as coverage.py reports them."""
    reporter = PythonFileReporter(str(path), Coverage(data_file=None, config_file=False))
    statements = reporter.lines()
    return statements, statements & reporter.translate_lines(lines)


def lines_that_ran(path: Path, hits: Sequence[int], lines: list[list[int]]) -> set[int]:
    return line_probes.lines_that_ran([line_probes.Imported(str(path), lines, hits)])[str(path)]


def test_the_lines_that_run_are_those_of_a_trace(sample):
    traced = Coverage(data_file=None, config_file=False, include=[str(sample)])
    traced.start()
    exec(compile(SAMPLE, str(sample), "exec"), {"__name__": "sample"})
    traced.stop()
    code, lines = line_probes.probed(SAMPLE, str(sample))
    hits = bytearray(len(lines))
    exec(code, {"__name__": "sample", line_probes.HITS: hits})
    found = lines_that_ran(sample, hits, lines)
    by_trace = set(traced.get_data().lines(str(sample)) or ())
    assert reported(found, sample) == reported(by_trace, sample)
    statements, ran = reported(found, sample)
    assert len(statements) > len(ran) > 20


@pytest.mark.parametrize("file", ["dialer/dispatch.py", "contacts/number_text.py", "core/state_machine.py"])
def test_every_statement_of_the_product_has_a_probe(file):
    path = PROJECT / file
    _, lines = line_probes.probed(path.read_text(), str(path))
    statements, probed = reported(lines_that_ran(path, [1] * len(lines), lines), path)
    assert probed == statements


def test_a_module_is_compiled_by_one_worker_of_a_run(sample, tmp_path, monkeypatch):
    compiled: list[str] = []
    imported: list[line_probes.Imported] = []
    genuine = line_probes.probed

    def noted(source: bytes, path: str) -> line_probes.Probed:
        compiled.append(path)
        return genuine(source, path)

    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    monkeypatch.setattr(line_probes, "probed", noted)
    monkeypatch.setattr(line_probes, "_imported", imported)
    for _ in range(2):
        line_probes._Loader("sample", str(sample)).exec_module(ModuleType("sample"))
    assert len(compiled) == 1
    first, second = (line_probes.lines_that_ran([module]) for module in imported)
    assert first == second
    assert len(first[str(sample)]) > 20
