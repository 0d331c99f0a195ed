"""The examples in the documentation can be read by the programs that they are for."""

import ast
import json
import re
from collections.abc import Callable

import pytest

from campaigns.flow_schema import validate_flow
from tests.docs.pages import PAGES, ROOT, name_of

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
READ: dict[str, Callable[[str], object]] = {"json": json.loads, "python": ast.parse}
EXAMPLES = [
    pytest.param(language, text, id=f"{name_of(page)}-{number}")
    for page in PAGES
    for number, (language, text) in enumerate(BLOCK.findall(page.read_text()))
    if language in READ
]


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_an_example_is_well_formed(language, text):
    READ[language](text)


def test_the_flow_of_the_readme_is_valid():
    [path] = re.findall(r"--file (\S+\.json)", (ROOT / "README.md").read_text())
    validate_flow(json.loads((ROOT / path).read_text()))
