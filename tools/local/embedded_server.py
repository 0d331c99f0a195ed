"""What the embedded PostgreSQL and Valkey have in common: a data folder and the processes that work in it."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar

import psutil

from core import services_file
from tools.local.process_groups import wait_for

START_SECONDS = 120.0
"""A server that was killed replays its log before it takes connections: seconds as a rule, longer on a slow disk."""

KILL_SECONDS = 10.0
"""How long the kernel may take to end a process after SIGKILL, which a slow disk delays."""


class EmbeddedError(RuntimeError):
    """An embedded server cannot be started; the message is one sentence for the operator."""


class EmbeddedServer(ABC):
    """A server with its data in `DATA_DIR/NAME`.

    A process belongs to it if it runs the program and its working folder is the data folder, no matter which process
    started it. A pid or a port that was written to a file may belong to another program by now.
    """

    name: ClassVar[str]
    """Of the data folder and of the entry in services.json."""
    program: ClassVar[str]
    """Part of the name of every process of the server."""
    stop_signal: ClassVar[signal.Signals]
    stop_seconds: ClassVar[float]
    """How long the server may take to write its data out before it is killed."""

    _children: ClassVar[list[subprocess.Popen[bytes]]] = []
    """The servers that this process started: a parent has to collect its child's exit."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()  # as the kernel names the working folder
        self.folder = self.data_dir / self.name

    @abstractmethod
    def start(self, *, durable: bool) -> str:
        """Start the server, or adopt the one that runs, and enter it in services.json.

        Returns its URL. With `durable=False` it is faster and loses its data in a crash. Raises EmbeddedError.
        """

    @abstractmethod
    def restart(self, url: str) -> None:
        """Start the server again after a crash, durable, at the address that it had. Raises EmbeddedError."""

    def is_running(self) -> bool:
        """Tell whether the recorded process runs, without looking at all processes of the machine."""
        try:
            process = psutil.Process(self._recorded().get("pid", -1))
            return _runs(process) and process.cwd() == str(self.folder)
        except (psutil.Error, ValueError):
            return False

    def stop(self) -> None:
        """End the server and remove it from services.json."""
        self.end()
        services_file.forget(self.data_dir, self.name)

    def end(self, how: signal.Signals | None = None) -> None:
        """End every process of the server, by its `stop_signal` if no other is given; its data stays.

        It stays in services.json too: Valkey is started again on the same port.
        """
        processes, main = self.processes(), self.main_process()
        if main is None:
            return
        with suppress(psutil.Error):
            main.send_signal(how or self.stop_signal)
        if not wait_for(lambda: not any(map(_runs, processes)), self.stop_seconds):
            for process in self.processes():
                with suppress(psutil.Error):
                    process.kill()
            wait_for(lambda: not self.processes(), KILL_SECONDS)

    def main_process(self) -> psutil.Process | None:
        """The process that started the server's others; None when the server does not run."""
        processes = self.processes()
        pids = {process.pid for process in processes}
        for process in processes:
            with suppress(psutil.Error):
                if process.ppid() not in pids:
                    return process
        return None

    def processes(self) -> list[psutil.Process]:
        self._children[:] = [child for child in self._children if child.poll() is None]
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self.program in process.name() and process.cwd() == str(self.folder):
                    found.append(process)
        return found

    def _spawn(
        self, command: Sequence[str | Path], log: IO[bytes], *, stdin: int = subprocess.DEVNULL, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start the server in a session of its own: it must outlive the workers when Ctrl-C ends them all."""
        process = subprocess.Popen(
            command, cwd=self.folder, stdin=stdin, stdout=log, stderr=log, start_new_session=True, **options
        )
        self._children.append(process)
        return process

    def _record(self, url: str, pid: int) -> None:
        services_file.record(self.data_dir, self.name, url=url, pid=pid)

    def _recorded(self) -> Mapping[str, Any]:
        return services_file.read(self.data_dir).get(self.name, {})


def _runs(process: psutil.Process) -> bool:
    """Whether the process still runs. A zombie, which its parent has not collected yet, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
