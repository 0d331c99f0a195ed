"""The supervisor of this project's processes: `make up`, the chaos runs and the bench start and stop them with it.

Each leads a process group of its own (process_groups.py). docs/decisions/0007 and 0021 say why this is neither honcho's
Manager nor `supervisor`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tools.local import process_groups
from tools.local.cpu_groups import NO_GROUPS, CpuGroups
from tools.local.output import Output
from tools.local.process_groups import KILL_AFTER, Command, Process, wait_for
from tools.local.project import PROJECT
from tools.local.restarts import Restarts


class ProcessEnded(RuntimeError):
    """A process that must not end has ended; `code` is its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


# Processes by name --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restart:
    """A process that has ended: its exit code, and the seconds until it is started again."""

    name: str
    code: int
    wait: float


@dataclass(frozen=True)
class _Waiting:
    """A process that has ended, and when it is started again, by the monotonic clock."""

    command: Command
    environment: Mapping[str, str]
    due: float


@dataclass
class _Child:
    process: Process
    reader: threading.Thread | None
    command: Command
    environment: Mapping[str, str]
    started: float
    is_stopping: bool = False

    def collect(self) -> int:
        code = process_groups.collect(self.process)
        if self.reader is not None:
            self.reader.join(timeout=2)
        return code


class Supervisor:
    """Processes by name: started, watched, started again and stopped. May be used by several threads.

    Args:
        record: file in which the running processes are entered, for `end_leftovers` should this process be killed.
        groups: which each process is put into, by its name.
    """

    def __init__(
        self,
        output: Output,
        *,
        cwd: Path = PROJECT,
        record: Path | None = None,
        groups: CpuGroups = NO_GROUPS,
    ) -> None:
        self._output = output
        self._cwd = cwd
        self._record = record
        self._groups = groups
        self._children: dict[str, _Child] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._restarts: dict[str, Restarts] = {}
        self._lock = threading.RLock()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], check: Callable[[], None] = lambda: None
    ) -> None:
        """Run a Python program to its end, under the name `setup`.

        Args:
            check: called while it runs; what it raises leaves the program to `stop`.

        Raises:
            ProcessEnded: It failed.
        """
        self.start("setup", [sys.executable, *arguments], environment)
        while not self.has_ended("setup"):
            check()
            time.sleep(0.05)
        with self._lock:
            code = self._children.pop("setup").collect()
        if code:
            words = f"`{' '.join(arguments)}` failed (exit code {code}).{self._output.last_lines('setup')}"
            raise ProcessEnded(words, code)

    def start(self, name: str, command: Command, environment: Mapping[str, str]) -> None:
        with self._lock, self._output.target(name) as target:
            process = process_groups.spawn(command, environment, cwd=self._cwd, stdout=target)
            reader = self._output.follow(name, process.stdout) if process.stdout is not None else None
            self._children[name] = _Child(process, reader, command, environment, time.monotonic())
            self._waiting.pop(name, None)
            self._enter()
            self._groups.place(name, process.pid)

    def has_ended(self, name: str) -> bool:
        with self._lock:
            return process_groups.has_ended(self._children[name].process)

    def pid(self, name: str) -> int | None:
        """Return the pid of the process of this name, another one after each start; None when it was not started."""
        with self._lock:
            return self._children[name].process.pid if name in self._children else None

    def restart_ended(self, healthy_after: float = 0.0, *, check: Callable[[], None] = lambda: None) -> list[Restart]:
        """Start each process again that has ended: at once, or after a wait that grows while it ends again and again.

        Args:
            healthy_after: seconds after which a process counts as healthy.
            check: called when one has ended, before anything is done about it.

        Returns:
            Those that have ended since the last call.

        Raises:
            ProcessEnded: A process ended that was never healthy, and would only end again. It is not started again.
        """
        ended = []
        with self._lock:
            for name, child in list(self._children.items()):
                if child.is_stopping or not process_groups.has_ended(child.process):
                    continue
                check()
                lived = time.monotonic() - child.started
                del self._children[name]
                code = child.collect()
                wait = self._restarts.setdefault(name, Restarts()).wait_after(lived, healthy_after)
                if wait is None:
                    raise ProcessEnded(f"{name} ended (exit code {code}).{self._output.last_lines(name)}", code)
                self._waiting[name] = _Waiting(child.command, child.environment, time.monotonic() + wait)
                ended.append(Restart(name, code, wait))
            self._start_waiting()
        return ended

    def _start_waiting(self) -> None:
        for name, waiting in list(self._waiting.items()):
            if time.monotonic() >= waiting.due:
                self.start(name, waiting.command, waiting.environment)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process and to everything in its group."""
        with self._lock:
            process_groups.signal_group(self._children[name].process, number)

    def kill(self, name: str) -> None:
        """Kill the process and its group, for `restart_ended` to find."""
        with self._lock:
            process_groups.collect(self._children[name].process)

    def stop(self, *names: str, seconds: float = KILL_AFTER, at_once: Callable[[], bool] = lambda: False) -> None:
        """Stop the processes of these names, all of them if none is given, as `process_groups.stop` does."""
        with self._lock:
            for name in names or list(self._waiting):
                self._waiting.pop(name, None)
            children = {name: self._children[name] for name in names or self._children if name in self._children}
            for child in children.values():
                child.is_stopping = True
        process_groups.stop((child.process for child in children.values()), seconds, at_once=at_once)
        with self._lock:
            for name, child in children.items():
                child.collect()
                del self._children[name]
            self._enter()

    def _enter(self) -> None:
        if self._record is None:
            return
        pids = [child.process.pid for child in self._children.values()]
        if pids:
            self._record.write_text(json.dumps([{"pid": pid, "created": _created(pid)} for pid in pids]))
        else:
            self._record.unlink(missing_ok=True)


# What a run that was killed has left ---------------------------------------------------------------------------------


def end_leftovers(record: Path) -> list[int]:
    """End the processes that a supervisor has entered in this file and did not stop. Returns their pids.

    They would hold the ports and work beside the new ones.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(record.read_text())
    except (OSError, ValueError):
        return []

    def left() -> list[int]:
        return [row["pid"] for row in rows if row["created"] and _created(row["pid"]) == row["created"]]

    found = left()
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    if not wait_for(lambda: not left(), KILL_AFTER):
        for pid in left():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        wait_for(lambda: not left(), KILL_AFTER)
    record.unlink(missing_ok=True)
    return found


def _created(pid: int) -> float | None:
    """When the process was created, which tells it from a later one with the same pid; None when it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return float(process.create_time())
    return None
