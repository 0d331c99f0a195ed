"""Every failpoint in the code has a name that `make chaos` can strike at, and every name is in the code.

What a process does there: it dies, or waits.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from core import failpoints
from tools.chaos.system import FAILPOINTS

PROJECT = Path(__file__).parents[2]
REACHED = re.compile(r"""failpoints\.reached\("([\w-]+)"\)""")


def test_the_list_of_failpoints_is_that_of_the_code():
    files = subprocess.check_output(["git", "ls-files", "*.py"], cwd=PROJECT, text=True).split()
    code = "".join((PROJECT / name).read_text() for name in files if not name.startswith("tests/"))
    assert sorted(REACHED.findall(code)) == sorted(FAILPOINTS)


def test_a_process_is_held_until_it_is_let_go(tmp_path):
    file = tmp_path / "failpoint"
    reached = failpoints._breaker(file)
    file.write_text("here:2:hold")
    reached("elsewhere")
    reached("here")
    thread = threading.Thread(target=reached, args=["here"])
    thread.start()
    held = failpoints.held_file(file)
    while not held.exists():
        thread.join(0.01)
        assert thread.is_alive()
    thread.join(0.1)
    assert thread.is_alive()
    assert not file.exists(), "it is disarmed for all others"
    held.unlink()
    thread.join(60)
    assert not thread.is_alive()


def test_a_process_that_nobody_lets_go_goes_on_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(failpoints, "HELD_AT_MOST", 0.05)
    file = tmp_path / "failpoint"
    file.write_text("here:1:hold")
    failpoints._breaker(file)("here")


def test_of_a_process_that_is_to_die_the_whole_group_is_killed(tmp_path):
    file = tmp_path / "failpoint"
    file.write_text("here:1")
    code = "from core import failpoints; failpoints.reached('here'); print('alive')"
    environment = {**os.environ, "FAILPOINT_FILE": str(file)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, start_new_session=True, capture_output=True
    )
    assert ran.returncode == -signal.SIGKILL
    assert not file.exists()
