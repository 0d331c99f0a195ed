"""`.env.example` lists every variable that settings and Procfile read, and no other, each with its default."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
EXAMPLES = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


def read_by_settings() -> dict[str, str]:
    """Each variable and its default as a text; "" where the default is computed."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "campaigns_project" / "settings.py").read_text())):
        if isinstance(node, ast.Call) and _reads_a_variable(node.func) and isinstance(node.args[0], ast.Constant):
            found[str(node.args[0].value)] = _default(node)
    return found


def _reads_a_variable(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Name) and function.value.id == "env"
    return isinstance(function, ast.Name) and function.id == "_positive"


def _default(call: ast.Call) -> str:
    given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "default")]
    try:
        value = eval(compile(ast.Expression(given[0]), "default", "eval"), {})
    except NameError:
        return ""
    return ",".join(value) if isinstance(value, list) else str(value)


def read_by_procfile() -> dict[str, str]:
    return dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (ROOT / "Procfile").read_text()))


READ = read_by_procfile() | read_by_settings()


def test_what_is_read_is_listed_and_what_is_listed_is_read():
    assert set(EXAMPLES) == set(READ)
    assert len(READ) > 30


@pytest.mark.parametrize("name", [name for name, default in READ.items() if default])
def test_the_value_that_is_shown_is_the_default(name):
    assert EXAMPLES[name] == READ[name]


def test_every_variable_has_a_comment_above_it():
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in pairwise(lines):
        assert not re.match(r"#[A-Z_]+=", line) or above.startswith("#"), line
