"""Measure which lines of the product run (`-p tests.line_probes`), at a tenth of what a trace function costs.

Up to Python 3.11, coverage.py traces: while it measures, Django and the tests run at half their speed too. Here only
the product's modules pay: as they are imported, each statement gets a probe, which sets a byte of its own. The bytes
become a data file of coverage.py, which does the reporting:

    .venv/bin/python -m pytest -n auto -p tests.line_probes && .venv/bin/python -m coverage html

At most the lines count that a trace would find: that of an `except` or `case` counts when its block runs. With Python
3.12, the core `sysmon` of coverage.py is as cheap, and replaces this module.
"""

import ast
import hashlib
import marshal
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest
from coverage import Coverage, CoverageData

from tests.once import alone

DATA_FILE = Path(__file__).parents[1] / ".coverage"
HITS = "__probes_hit__"
"""The name of the bytes of a module, among its global names."""

_is_worker = "PYTEST_XDIST_WORKER" in os.environ


class Probed(NamedTuple):
    """A module with a probe before each statement, and the lines that each of them tells of."""

    code: CodeType
    lines: list[list[int]]


class Imported(NamedTuple):
    """A module that was imported with its probes, and their bytes."""

    path: str
    lines: list[list[int]]
    hits: Sequence[int]


_imported: list[Imported] = []


def probed(source: bytes | str, path: str) -> Probed:
    """Compile a module with a probe before each statement."""
    tree, lines = ast.parse(source, path), list[list[int]]()
    for node in list(ast.walk(tree)):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                setattr(node, block, list(_with_probes(node, statements, lines)))
    return Probed(compile(tree, path, "exec", dont_inherit=True), lines)


def _with_probes(owner: ast.AST, statements: Sequence[ast.stmt], lines: list[list[int]]) -> Iterator[ast.stmt]:
    header = [owner.lineno] if isinstance(owner, ast.ExceptHandler) else []
    header += [owner.pattern.lineno] if isinstance(owner, ast.match_case) else []
    for statement in statements:
        if _stays_first(statement):
            header.append(statement.lineno)  # of docstrings coverage.py knows that they are no statements
        else:
            yield _probe(statement, len(lines))
            lines.append([*header, *_lines_of(statement)])
            header = []
        yield statement


def _stays_first(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _lines_of(statement: ast.stmt) -> Iterable[int]:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return [statement.lineno, *(decorator.lineno for decorator in decorators)]


def _probe(statement: ast.stmt, number: int) -> ast.stmt:
    """Make the statement `HITS[number] = 1`, at the place of the one that it precedes."""
    byte = ast.Subscript(ast.Name(HITS, ast.Load()), ast.Constant(number), ast.Store())
    return ast.fix_missing_locations(ast.copy_location(ast.Assign([byte], ast.Constant(1)), statement))


def lines_that_ran(modules: Iterable[Imported]) -> dict[str, set[int]]:
    """Return the lines by file."""
    lines: dict[str, set[int]] = {}
    for path, of_probes, hits in modules:
        ran = lines.setdefault(path, set())
        for hit, of_probe in zip(hits, of_probes, strict=True):
            ran.update(of_probe if hit else ())
    return lines


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Run the module with its probes, past the usual cache: other processes run without."""
        path = self.get_filename(module.__name__)
        code, lines = self._probed(path)
        hits = module.__dict__[HITS] = bytearray(len(lines))
        _imported.append(Imported(path, lines, hits))
        exec(code, module.__dict__)

    def _probed(self, path: str) -> Probed:
        """Return the module as the first worker has compiled it."""
        with alone(f"probed-{hashlib.sha256(path.encode()).hexdigest()[:16]}") as kept:
            if made := kept.read_bytes():
                return Probed(*marshal.loads(made))
            new = probed(self.get_data(path), path)
            kept.write_bytes(marshal.dumps(tuple(new)))
            return new


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
    data.add_lines(lines_that_ran(_imported))
    data.write()
    if not _is_worker:
        coverage = Coverage(str(DATA_FILE))
        coverage.combine()
        coverage.save()
