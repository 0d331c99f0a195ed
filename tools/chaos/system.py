"""The processes of a Trunkline, each to be killed, frozen, stopped and started by itself."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import psutil
import requests
from honcho.environ import parse_procfile

from tools.local import services, up
from tools.stack import PROJECT, Stack, StackFailed

# Flower only watches, and costs a second of start.
LEFT_OUT = {"flower"}
# Short enough that a repair takes seconds; each is a setting that an operator has too.
SETTINGS = {
    "CARRIER_TIMEOUT_SECONDS": "2",
    "CARRIER_LIST_LAG_SECONDS": "2",
    "CARRIER_POLL_AFTER_SECONDS": "5",
    "RETRY_MINUTE_SECONDS": "1",
    "WEBHOOK_TIMEOUT_SECONDS": "2",
    "WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "True",
    "CELERY_TASK_EVENTS": "False",
    "LOG_LEVEL": "WARNING",
    "WEB_WORKERS": "1",
    "WEB_THREADS": "4",
    "DIAL_CONCURRENCY": "4",
    "WEBHOOK_CONCURRENCY": "2",
}
# The failpoints of the code, in the order in which a call meets them; tests/core/test_failpoints.py keeps the list
# complete. docs/operator/guarantees.md says what a crash at each of them costs.
FAILPOINTS = (
    "campaign-before-commit",
    "campaign-after-commit",
    "leased",
    "claimed",
    "published",
    "placing",
    "carrier-answered",
    "answer-kept",
    "event-before-commit",
    "event-after-commit",
    "inbox-before-commit",
    "inbox-after-commit",
)
# A process that ended is started again after so long, as a supervisor would.
RESTART_SECONDS = 0.5
# What a process under test is given beside an operator's settings.
OURS = {"CHAOS_CLOCK", "FAILPOINT_FILE", "PYTHONPATH"}
STOP_SECONDS = 20


class System(Stack):
    """Like `make up`, but what dies is started again, and every process answers to its name in the Procfile.

    A second process of a kind is called `control-2`.
    """

    def __init__(self, data_dir: Path) -> None:
        clock = data_dir / "clock"
        paths = [str(Path(__file__).parent / "clock"), str(PROJECT)]
        super().__init__(
            data_dir,
            SETTINGS
            | {
                "CHAOS_CLOCK": str(clock),
                "FAILPOINT_FILE": str(data_dir / "failpoint"),
                "PYTHONPATH": os.pathsep.join(paths),
            },
        )
        programs = Path(sys.executable).absolute().parent
        self.environment["PATH"] = os.pathsep.join([str(programs), self.environment.get("PATH", os.defpath)])
        self._clock = clock
        self._failpoint = data_dir / "failpoint"
        self.ahead = 0.0
        commands = parse_procfile((PROJECT / "Procfile").read_text()).processes
        self._commands: dict[str, str] = {name: each for name, each in commands.items() if name not in LEFT_OUT}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "logs").mkdir(exist_ok=True)
        self.set_clock(0)
        self.start_servers()
        for step in up.SETUP:
            self.manage(*step[1:])
        for name in self._commands:
            self.spawn(name)
        threading.Thread(target=self._supervise, daemon=True).start()

    def wait_until_ready(self) -> None:
        # Without a process of its own to look after, which the whole has.
        self._process = self._processes["web"]
        super().wait_until_ready()

    def stop(self) -> int:
        self._ended.set()
        with self._lock:
            for process in self._processes.values():
                _signal_group(process, signal.SIGCONT)
                process.terminate()
            for process in self._processes.values():
                _wait_or_kill(process)
            self._processes.clear()
        self.stop_servers()
        return 0

    # Processes ------------------------------------------------------------------------------------------------------

    def spawn(self, name: str) -> None:
        """Starts the process of that name."""
        kind, _, number = name.partition("-")
        command = self._commands[kind].replace("@%h", f"{number}@%h")
        with self._lock, (self.data_dir / "logs" / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=PROJECT,
                env=self.environment_of_tools if kind == "sandbox" else self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def arm(self, point: str, nth: int) -> None:
        """The first process that comes to the failpoint for the nth time dies there."""
        if point not in FAILPOINTS:
            raise ValueError(f"there is no failpoint {point}")
        whole = self._failpoint.with_suffix(".new")
        whole.write_text(f"{point}:{nth}")
        whole.replace(self._failpoint)

    def is_armed(self) -> bool:
        return self._failpoint.exists()

    def kill(self, *names: str) -> None:
        """SIGKILL to the process and to the pool that it has started; it is started again."""
        for name in names:
            with self._lock:
                _signal_group(self._processes[name], signal.SIGKILL)
                self._processes[name].wait()

    def freeze(self, name: str) -> None:
        _signal_group(self._processes[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        _signal_group(self._processes[name], signal.SIGCONT)

    def shut_down(self, *names: str) -> None:
        """SIGTERM, as a deploy does: a worker ends its tasks. Not started again."""
        with self._lock:
            processes = [self._processes.pop(name) for name in names]
        for process in processes:
            process.terminate()
        for process in processes:
            _wait_or_kill(process)

    def pid(self, name: str) -> int:
        """Of the process of that name: another one after each start."""
        with self._lock:
            return self._processes[name].pid if name in self._processes else 0

    def _supervise(self) -> None:
        while not self._ended.wait(RESTART_SECONDS):
            with self._lock:
                for name, process in list(self._processes.items()):
                    if process.poll() is not None and not self._ended.is_set():
                        self.spawn(name)

    # Servers --------------------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """PostgreSQL and Valkey, where they do not run: with their data, at their addresses.

        The processes know them from their environment, as under `make up`, also while they are away.
        """
        addresses = services.start_services(self.data_dir, environ={})
        if addresses["REDIS_URL"] != self.environment.setdefault("REDIS_URL", addresses["REDIS_URL"]):
            raise StackFailed("Valkey did not get its port again")
        self.environment |= addresses | {"CELERY_BROKER_URL": addresses["REDIS_URL"]}

    def stop_servers(self) -> None:
        services.stop_services(self.data_dir)

    def stop_valkey(self) -> None:
        """As an operator stops it: with its data kept."""
        self._end_server("valkey", signal.SIGTERM)

    def stop_postgres(self, *, crash: bool = False) -> None:
        """SIGINT ends its sessions and keeps its data; SIGQUIT is its own word for a crash."""
        self._end_server("postgres", signal.SIGQUIT if crash else signal.SIGINT)

    def _end_server(self, name: str, how: signal.Signals) -> None:
        pid = json.loads((self.data_dir / "services.json").read_text())[name]["pid"]
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.send_signal(how)
            # A server that this very process has started becomes a zombie, which is gone enough.
            deadline = time.monotonic() + STOP_SECONDS
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > deadline:
                    raise StackFailed(f"{name} did not stop")
                time.sleep(0.05)

    def heal(self) -> None:
        """Everything as after the start: servers, processes, clock, a carrier that behaves."""
        self.set_clock(0)
        self._failpoint.unlink(missing_ok=True)
        self.start_servers()
        for name in self._commands:
            if not self.pid(name):
                self.spawn(name)
            self.thaw(name)
        self.wait_until_ready()
        self.script({})
        self.forget_rings()

    def forget_rings(self) -> None:
        requests.delete(f"{self.sandbox_url}/_sandbox/rings", timeout=10).raise_for_status()

    # The clock ------------------------------------------------------------------------------------------------------

    def set_clock(self, ahead: float) -> None:
        """Sets our processes' time of day, in seconds beside the machine's; the servers and the sandbox keep theirs."""
        self.ahead = ahead
        whole = self._clock.with_suffix(".new")
        whole.write_text(str(ahead))
        whole.replace(self._clock)
        if "web" in self._processes:
            self._wait_for_clock(ahead)

    def _wait_for_clock(self, ahead: float) -> None:
        """The web process stands for all of them: each looks as often. Raises StackFailed where it does not follow."""
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            with suppress(requests.RequestException):
                told = parsedate_to_datetime(requests.get(f"{self.url}/healthz", timeout=2).headers["Date"]).timestamp()
                if abs(told - time.time() - ahead) < 2:
                    return
            time.sleep(0.05)
        raise StackFailed("the clock of the processes could not be set")

    @property
    def environment_of_tools(self) -> dict[str, str]:
        """For a process whose clock is not to be set."""
        return {name: value for name, value in self.environment.items() if name not in OURS}


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()
