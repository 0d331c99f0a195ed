"""`make up`: a whole Trunkline on one machine, started together and stopped together.

    python -m tools.local.up [--only web,worker] [--quiet] [--procfile PATH]

Starts the embedded servers that no environment variable replaces, prepares the database and the static files, and then
runs the Procfile's processes until it is told to stop (SIGINT, SIGTERM, SIGHUP) or one of them ends within seconds of
its start; one that ends later is started again. Whatever happens, also half way through the start, everything it
started is stopped again.

Exit code: 0 after a requested stop, otherwise the code of what failed, and 1 where that has none.

The processes are supervised here rather than by honcho's Manager, which signals whole process groups (Celery's pool
would die in the middle of a task), cannot be stopped before everything has started, and waits for ever on a process
that ignores SIGTERM. Its Procfile, `.env` and printer formats are used as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import psutil
from honcho.colour import get_colours
from honcho.environ import parse as parse_env
from honcho.environ import parse_procfile
from honcho.printer import Message, Printer

from tools.local import services

KILL_AFTER = 10.0
"""Seconds between SIGTERM and SIGKILL. Celery ends its running tasks in this time, gunicorn its open requests."""

HEALTHY_AFTER = 10.0
"""Seconds after which a process is taken to have started well. One that ends later is started again, as a worker does
that has lost its broker (see `watchdog`); one that ends sooner would only end again."""

SETUP = (
    ("manage.py", "migrate", "--noinput", "--verbosity", "0"),
    ("manage.py", "sync_periodic_tasks"),
    ("manage.py", "collectstatic", "--noinput", "--verbosity", "0"),
)
"""What makes the database and the static files ready, run in the Procfile's folder. Each may be repeated at will."""


@dataclass(frozen=True)
class Address:
    """Where a process of the Procfile listens."""

    title: str
    port_variable: str
    default_port: int
    host_variable: str = ""


ADDRESSES = {
    "web": Address("API and admin", "WEB_PORT", 8000, "WEB_HOST"),
    "flower": Address("Tasks (Flower)", "FLOWER_PORT", 5555),
    "sandbox": Address("Sandbox carrier", "SANDBOX_PORT", 8010),
}


class UpError(RuntimeError):
    """Something failed; the message is for the operator, `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class StopRequested(Exception):
    """A signal asked for the end. Raised only between steps, where nothing is half done."""


@dataclass
class StopSignal:
    """Remembers the signals that ask for a stop. The second one means: at once."""

    count: int = 0

    def check(self) -> None:
        if self.count:
            raise StopRequested

    @contextmanager
    def installed(self) -> Iterator[None]:
        def remember(_signal: int, _frame: object) -> None:
            self.count += 1

        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, remember) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    stop = StopSignal()
    with stop.installed():
        try:
            _up(options, stop)
        except StopRequested:
            return 0
        except UpError as error:
            _say(str(error))
            return error.code
        except services.EmbeddedError as error:
            if stop.count:  # a signal to the whole process group ends what starts a server, too
                return 0
            _say(str(error))
            return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.local.up", description="Run a whole Trunkline.")
    parser.add_argument("--only", metavar="NAME,NAME", help="run only these processes of the Procfile")
    parser.add_argument("--quiet", action="store_true", help="write the output to DATA_DIR/logs/NAME.log instead")
    parser.add_argument(
        "--procfile",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "Procfile",
        help="another Procfile; its folder is the project's (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _up(options: argparse.Namespace, stop: StopSignal) -> None:
    project = options.procfile.resolve().parent
    environment = _environment(project)
    if not options.quiet:
        environment.setdefault("LOG_FORMAT", "console")  # for a person to read
    data_dir = Path(environment["DATA_DIR"])
    commands = _commands(options.procfile, options.only)
    with services.exclusive_use(data_dir):
        _end_leftovers(data_dir)
        hosts_and_ports = _free_addresses(commands, environment)
        output = Output(data_dir / "logs" if options.quiet else None, width=max(map(len, commands)))
        family = Family(data_dir, project, environment, output, stop)
        try:
            environment.update(services.start_services(data_dir, environ=environment))
            environment.setdefault("CELERY_BROKER_URL", environment["REDIS_URL"])
            stop.check()
            for step in SETUP:
                family.run(step)
            for name, command in commands.items():
                stop.check()
                family.start(name, command)
            family.watch(hosts_and_ports, lambda: _announce(hosts_and_ports, output.folder))
        finally:
            _say("stopping")
            try:
                family.stop()
            finally:
                services.stop_services(data_dir)
            _say("stopped")


def _environment(project: Path) -> dict[str, str]:
    """The processes' environment: `.env` below the real one, an absolute DATA_DIR, our Python's programs first."""
    environment = dict(os.environ)
    with suppress(FileNotFoundError):
        environment = parse_env((project / ".env").read_text()) | environment
    environment["DATA_DIR"] = str(Path(environment.get("DATA_DIR") or project / ".data").resolve())
    # Not resolved: the interpreter of a virtualenv is a link, and its neighbours are the programs we need.
    programs = Path(sys.executable).absolute().parent
    environment["PATH"] = os.pathsep.join([str(programs), environment.get("PATH", os.defpath)])
    environment["PYTHONUNBUFFERED"] = "1"  # or a log would lag behind what it tells
    if os.geteuid() == 0:  # as in a container; Celery says it at each start of each worker
        environment.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
    if not environment.get("CELERY_BROKER_URL"):
        environment.pop("CELERY_BROKER_URL", None)
    return environment


def _commands(procfile: Path, only: str | None) -> dict[str, str]:
    try:
        commands: dict[str, str] = dict(parse_procfile(procfile.read_text()).processes)
    except OSError as error:
        raise UpError(f"{procfile} cannot be read: {error.strerror}.") from error
    if only is not None:
        chosen = [name.strip() for name in only.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in commands]:
            raise UpError(f"--only {','.join(unknown)}: the Procfile has {', '.join(commands)}.")
        commands = {name: command for name, command in commands.items() if name in chosen}
    if not commands:
        raise UpError(f"{procfile} names no process to run.")
    return commands


# Addresses ----------------------------------------------------------------------------------------------------------


def _free_addresses(commands: dict[str, str], environment: dict[str, str]) -> dict[str, tuple[str, int]]:
    """Host and port of each process that listens; raises UpError when one is taken."""
    chosen = {}
    for name in commands:
        if address := ADDRESSES.get(name):
            host = environment.get(address.host_variable) or "127.0.0.1"
            port = _port(address, environment)
            if not _is_free(host, port):
                raise UpError(
                    f"Port {port} for {name} is in use: stop what listens there, or change {address.port_variable}."
                )
            chosen[name] = (host, port)
    return chosen


def _port(address: Address, environment: dict[str, str]) -> int:
    value = environment.get(address.port_variable) or str(address.default_port)
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 65536:
        raise UpError(f"{address.port_variable} must be a port number from 1 to 65535, not {value!r}.")
    return int(value)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection lingers; that is no user
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _answers(host: str, port: int) -> bool:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked for, not bound
    with suppress(OSError), socket.create_connection((anywhere.get(host, host), port), timeout=1):
        return True
    return False


def _announce(addresses: dict[str, tuple[str, int]], logs: Path | None) -> None:
    lines = ["Trunkline is up; Ctrl-C stops it."]
    lines += [f"  {ADDRESSES[name].title:<16} http://{host}:{port}" for name, (host, port) in addresses.items()]
    if logs is not None:
        lines.append(f"  {'Logs':<16} {logs}")
    _say("\n".join(lines))


def _say(text: str) -> None:
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


# Processes ----------------------------------------------------------------------------------------------------------


class Output:
    """Where the processes write: a log file each under `folder`, or the terminal, each line with its process's name."""

    def __init__(self, folder: Path | None, *, width: int) -> None:
        self.folder = folder
        self._printer = Printer(sys.stdout, width=width)
        self._colours = get_colours()
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def target(self, name: str) -> Iterator[IO[bytes] | int]:
        """What to give a new process as its output. A log file is started anew with each run."""
        if self.folder is None:
            yield subprocess.PIPE
        else:
            with (self.folder / f"{name}.log").open("ab" if name in self._begun else "wb") as log:
                self._begun.add(name)
                yield log

    def follow(self, name: str, stream: IO[bytes]) -> threading.Thread:
        """Print what comes out of `stream`, in a thread that ends with it."""
        thread = threading.Thread(target=self._print_all, args=(name, stream, next(self._colours)), daemon=True)
        thread.start()
        return thread

    def _print_all(self, name: str, stream: IO[bytes], colour: str) -> None:
        with stream:
            for line in stream:
                # Goes on reading when our own output is closed: a process must not block on a full pipe.
                with self._lock, suppress(OSError, ValueError):
                    self._printer.write(Message("line", line, datetime.now().astimezone(), name, colour))


@dataclass
class Child:
    """A started process, the leader of a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]
    reader: threading.Thread | None
    arguments: list[str]
    created: float = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        with suppress(psutil.Error):
            self.created = psutil.Process(self.process.pid).create_time()
            return
        self.created = 0.0

    def has_ended(self) -> bool:
        """Looks without collecting the exit, so that the pid, which also names the group, cannot go to another one."""
        if self.process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def terminate(self) -> None:
        """Ask the leader alone: it knows how to end what it started."""
        if self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGTERM)

    def close(self) -> int:
        """Kill what is left of the group and collect the exit: its code, or 128 plus the signal that ended it."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        if self.reader is not None:
            self.reader.join(timeout=2)
        return code if code >= 0 else 128 - code


class Family:
    """The processes of one `make up`."""

    def __init__(
        self, data_dir: Path, project: Path, environment: dict[str, str], output: Output, stop: StopSignal
    ) -> None:
        self._record = _leftovers_record(data_dir)
        self._project = project
        self._environment = environment
        self._output = output
        self._stop = stop
        self._children: list[Child] = []

    def run(self, arguments: Sequence[str]) -> None:
        """Run a Python program to its end; raises UpError when it fails, StopRequested when a signal comes first."""
        child = self._spawn("setup", [sys.executable, *arguments])
        while not child.has_ended():
            self._stop.check()
            time.sleep(0.05)
        self._children.remove(child)
        if code := child.close():
            raise UpError(f"`{' '.join(arguments)}` failed (exit code {code}).{self._last_lines('setup')}", code)

    def start(self, name: str, command: str) -> None:
        """Start a process of the Procfile; its command is the shell's to expand."""
        self._spawn(name, ["/bin/sh", "-c", command])

    def watch(self, addresses: dict[str, tuple[str, int]], when_ready: Callable[[], None]) -> None:
        """Wait for the end. Calls `when_ready` once all addresses answer; raises UpError when a new process ends."""
        waiting: set[tuple[str, int]] | None = set(addresses.values())
        while True:
            self._stop.check()
            for child in list(self._children):
                if child.has_ended():
                    self._stop.check()  # a signal to all of us: the process is only the first to have acted on it
                    if time.monotonic() - child.started < HEALTHY_AFTER:
                        self._report_end(child)
                    self._start_again(child)
            if waiting is not None:
                waiting = {address for address in waiting if not _answers(*address)}
                if not waiting:
                    when_ready()
                    waiting = None
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop every process: SIGTERM, and SIGKILL after KILL_AFTER seconds or at a second request."""
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + KILL_AFTER
        requests = self._stop.count
        while not all(child.has_ended() for child in self._children):
            if time.monotonic() > deadline or self._stop.count > max(requests, 1):
                break
            time.sleep(0.05)
        for child in self._children:
            child.close()
        self._children.clear()
        self._record.unlink(missing_ok=True)

    def _spawn(self, name: str, arguments: list[str]) -> Child:
        with self._output.target(name) as target:
            process = subprocess.Popen(
                arguments,
                cwd=self._project,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C comes to us alone, and we pass it on once
            )
        reader = self._output.follow(name, process.stdout) if process.stdout is not None else None
        child = Child(name, process, reader, arguments)
        self._children.append(child)
        self._remember()
        return child

    def _remember(self) -> None:
        """Write down what runs, for the next start to end should this process be killed."""
        rows = [{"name": child.name, "pid": child.process.pid, "created": child.created} for child in self._children]
        self._record.write_text(json.dumps(rows))

    def _start_again(self, child: Child) -> None:
        self._children.remove(child)
        code = child.close()
        _say(f"{child.name} ended (exit code {code}) and is started again.{self._last_lines(child.name)}")
        self._spawn(child.name, child.arguments)

    def _report_end(self, child: Child) -> NoReturn:
        self._children.remove(child)
        code = child.close()
        raise UpError(f"{child.name} ended (exit code {code}).{self._last_lines(child.name)}", code or 1)

    def _last_lines(self, name: str) -> str:
        """With --quiet, the end of the log: what the terminal would have shown."""
        if self._output.folder is None:
            return ""
        log = self._output.folder / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([f" The end of {log}:", *(f"  {line}" for line in lines)])


def _leftovers_record(data_dir: Path) -> Path:
    return data_dir / "processes.json"


def _end_leftovers(data_dir: Path) -> None:
    """End the processes of an earlier run that was killed: they would hold the ports and work beside the new ones."""
    record = _leftovers_record(data_dir)
    try:
        rows: list[dict[str, Any]] = json.loads(record.read_text())
    except (OSError, ValueError):
        return
    alive = [process for row in rows if (process := _same_process(row["pid"], row["created"])) is not None]
    for process in alive:
        _say(f"ending process {process.pid}, left by an earlier run")
        with suppress(psutil.Error):
            process.terminate()
    _gone, stubborn = psutil.wait_procs(alive, timeout=KILL_AFTER)
    for process in stubborn:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=KILL_AFTER)
    record.unlink(missing_ok=True)


def _same_process(pid: int, created: float) -> psutil.Process | None:
    """The process, if the number still means the one that was recorded."""
    try:
        process = psutil.Process(pid)
        lives = process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if lives else None


if __name__ == "__main__":
    sys.exit(main())
