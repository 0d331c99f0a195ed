"""Every failpoint in the code has a name that `make chaos` can strike at, and every name is in the code."""

import re
import subprocess
from pathlib import Path

from tools.chaos.system import FAILPOINTS

PROJECT = Path(__file__).parents[2]
REACHED = re.compile(r"""failpoints\.reached\("([\w-]+)"\)""")


def test_the_list_of_failpoints_is_that_of_the_code():
    files = subprocess.check_output(["git", "ls-files", "*.py"], cwd=PROJECT, text=True).split()
    code = "".join((PROJECT / name).read_text() for name in files if not name.startswith("tests/"))
    assert sorted(REACHED.findall(code)) == sorted(FAILPOINTS)
