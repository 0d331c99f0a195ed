"""Measure which lines of the product run (`-p tests.line_probes`), at a tenth of what a trace function costs.

Up to Python 3.11, coverage.py traces: while it measures, Django and the tests run at half their speed too. Here only
the product's modules pay: as they are imported, each statement gets a probe, which sets a byte of its own. The bytes
become a data file of coverage.py, which does the reporting:

    .venv/bin/python -m pytest -n auto -p tests.line_probes && .venv/bin/python -m coverage html

At most the lines count that a trace would find: that of an `except` or `case` counts when its block runs. With Python
3.12, the core `sysmon` of coverage.py is as cheap, and replaces this module.
"""

import ast
import builtins
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from coverage import Coverage, CoverageData

DATA_FILE = Path(__file__).parents[1] / ".coverage"
HITS = "__probes_hit__"
"""The name of the bytes among the builtins, where the code of every module finds them."""

_is_worker = "PYTEST_XDIST_WORKER" in os.environ
_probes: list[tuple[str, list[int]]] = []
"""The file and the lines of each byte."""
_hits = bytearray(200_000)


def probed(source: bytes | str, path: str) -> ast.Module:
    """Return the tree of a module with a probe before each statement."""
    tree = ast.parse(source, path)
    for node in list(ast.walk(tree)):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                setattr(node, block, list(_with_probes(node, statements, path)))
    return tree


def _with_probes(owner: ast.AST, statements: Sequence[ast.stmt], path: str) -> Iterator[ast.stmt]:
    header = [owner.lineno] if isinstance(owner, ast.ExceptHandler) else []
    header += [owner.pattern.lineno] if isinstance(owner, ast.match_case) else []
    for statement in statements:
        if _stays_first(statement):
            header.append(statement.lineno)  # of docstrings coverage.py knows that they are no statements
        else:
            yield _probe(statement, [*header, *_lines_of(statement)], path)
            header = []
        yield statement


def _stays_first(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _lines_of(statement: ast.stmt) -> Iterable[int]:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return [statement.lineno, *(decorator.lineno for decorator in decorators)]


def _probe(statement: ast.stmt, lines: list[int], path: str) -> ast.stmt:
    """Make the statement `HITS[number] = 1`, at the place of the one that it precedes."""
    number = ast.Constant(len(_probes))
    _probes.append((path, lines))
    byte = ast.Subscript(ast.Name(HITS, ast.Load()), number, ast.Store())
    return ast.fix_missing_locations(ast.copy_location(ast.Assign([byte], ast.Constant(1)), statement))


def lines_that_ran(hits: Sequence[int]) -> dict[str, set[int]]:
    """Return the lines by file."""
    lines: dict[str, set[int]] = {}
    for hit, (path, of_probe) in zip(hits, _probes, strict=False):
        if hit:
            lines.setdefault(path, set()).update(of_probe)
    return lines


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compile the module with its probes, past the cache: other processes run without."""
        path = self.get_filename(fullname)
        return compile(probed(self.get_data(path), path), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, packages: Sequence[str], omitted: Sequence[str]) -> None:
        self._packages = frozenset(packages)
        self._omitted = omitted

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.origin and isinstance(spec.loader, SourceFileLoader) and not self._is_omitted(spec.origin):
            spec.loader = _Loader(fullname, spec.origin)
        return spec

    def _is_omitted(self, path: str) -> bool:
        return any(fnmatch(path, pattern) for pattern in self._omitted)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Begin before anything imports the product: pytest-django does, to read the settings."""
    settings: Any = Coverage()
    setattr(builtins, HITS, _hits)
    sys.meta_path.insert(0, _Finder(settings.get_option("run:source"), settings.get_option("run:omit")))
    return (yield)


def pytest_sessionstart() -> None:
    if not _is_worker:
        DATA_FILE.unlink(missing_ok=True)
        for left in DATA_FILE.parent.glob(f"{DATA_FILE.name}.*"):
            left.unlink()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write what this process has found. The one that distributes the tests adds what its workers have written."""
    data = CoverageData(str(DATA_FILE), suffix=str(os.getpid()))
    data.add_lines(lines_that_ran(_hits))
    data.write()
    if not _is_worker:
        coverage = Coverage(str(DATA_FILE))
        coverage.combine()
        coverage.save()
