"""One process and what it has started: a session and a process group of its own, ended as a whole.

The terminal's Ctrl-C therefore reaches only the program that started it, which passes it on once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from core import services_file
from tools.local.project import PROJECT

Process = subprocess.Popen[Any]
Command = str | Sequence[str | Path]
"""A string is the shell's to expand, a sequence is run as it is."""

KILL_AFTER = 10.0
"""Seconds between SIGTERM and SIGKILL. Celery ends its running tasks in this time, gunicorn its open requests."""


def spawn(
    command: Command,
    environment: Mapping[str, str],
    *,
    cwd: Path = PROJECT,
    stdin: int = subprocess.DEVNULL,
    stdout: IO[Any] | int = subprocess.DEVNULL,
    stderr: IO[Any] | int | None = subprocess.STDOUT,
    text: bool = False,
) -> Process:
    """Start a command as the leader of a session of its own."""
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    return subprocess.Popen(
        arguments,
        cwd=cwd,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=text,
        start_new_session=True,
    )


def has_ended(process: Process) -> bool:
    """Whether the process has ended. Its exit is not collected, so that its pid, the group's too, stays its own."""
    return process.returncode is not None or not services_file.is_alive(process.pid)


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process and to everything in its group."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def stop(
    processes: Iterable[Process], seconds: float = KILL_AFTER, *, at_once: Callable[[], bool] = lambda: False
) -> None:
    """Stop processes and everything in their groups.

    SIGTERM goes to each leader alone, as it knows how to end what it started. What is left of a group after `seconds`,
    or as soon as `at_once` says so, gets SIGKILL.
    """
    processes = list(processes)
    for process in processes:
        signal_group(process, signal.SIGCONT)  # a process that was frozen would not notice the next one
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)
    wait_for(lambda: all(map(has_ended, processes)) or at_once(), seconds)
    for process in processes:
        collect(process)


def collect(process: Process) -> int:
    """Kill what is left of the group and collect the exit. Returns the code, or 128 plus the signal that ended it."""
    signal_group(process, signal.SIGKILL)
    code = process.wait()
    return code if code >= 0 else 128 - code


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition` holds, at most for so many seconds; returns whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
