"""A run of tests in several workers leaves nothing behind, whatever ends it: no server, process or temporary folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.services import RUN_FOLDER
from tools.local.project import OF_ANOTHER_SYSTEM, PROJECT

PATIENCE = 120.0  # seconds, for what takes a few

# Tests that never end, each with a process of its own, such as the system that an acceptance test starts.
TESTS = """
import os, pathlib, subprocess, sys, time

import pytest


@pytest.mark.parametrize("number", range(12))
def test_that_never_ends(number):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    pathlib.Path({folder!r}, f"started-{{os.getpid()}}").write_text(str(process.pid))
    time.sleep(600)
"""


@dataclass
class RunOfTests:
    """`pytest -n 2` in a process group of its own, as `make test` is started by a shell."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    def workers(self) -> list[int]:
        """Return the pids of the workers whose test has started its process."""
        return [int(file.name.partition("-")[2]) for file in self.folder.glob("started-*") if file.read_text()]

    def processes(self) -> Iterator[psutil.Process]:
        """Yield the processes of the run. Servers are known by their folder, others by TMPDIR."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_ours = process.environ().get("TMPDIR") == str(self.folder / "tmp")
                if is_ours or Path(process.cwd()).is_relative_to(self.folder):
                    yield process

    def left(self) -> list[str]:
        """Return the commands of the processes and the names of the temporary folders of the run."""
        commands = [" ".join(process.cmdline()) for process in self.processes()]
        return commands + [path.name for path in (self.folder / "tmp").glob("trunkline-tests-*")]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunOfTests]:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "test_long.py").write_text(TESTS.format(folder=str(tmp_path)))
    unwanted = {*OF_ANOTHER_SYSTEM, RUN_FOLDER, "DATA_DIR"} - {"DJANGO_SETTINGS_MODULE"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.startswith(("PYTEST_", "COV_CORE_", "COVERAGE_"))
    }
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider"]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, "-c", PROJECT / "pyproject.toml", "--rootdir", PROJECT, tmp_path / "test_long.py"],
            cwd=PROJECT,
            env=environment | {"TMPDIR": str(tmp_path / "tmp")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell's background job ignores SIGINT, and so would this run.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    made = RunOfTests(tmp_path, process)
    yield made
    for left in made.processes():  # only where the test has failed
        with suppress(psutil.Error):
            left.kill()
    process.wait(timeout=PATIENCE)


def wait_until(condition: Callable[[], object], run: RunOfTests) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, (run.folder / "output").read_text()
        assert run.process.poll() is None, (run.folder / "output").read_text()
        time.sleep(0.1)


def test_nothing_is_left_after_the_crash_of_a_worker_and_ctrl_c(run: RunOfTests) -> None:
    wait_until(lambda: len(run.workers()) == 2, run)
    assert any("postgres" in name for name in run.left()), "or the test could not fail"
    assert any("time.sleep" in name for name in run.left())

    os.kill(run.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(run.workers()) == 3, run)  # another took its place
    os.killpg(run.process.pid, signal.SIGINT)

    assert run.process.wait(timeout=PATIENCE) == pytest.ExitCode.INTERRUPTED
    assert run.left() == []
