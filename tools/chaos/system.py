"""The processes of a Trunkline, each to be killed, frozen, stopped and started on its own."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from core.failpoints import held_file
from tools.chaos import database_clock
from tools.local import services
from tools.local.output import Output
from tools.local.postgres import Postgres
from tools.local.processes import Supervisor
from tools.local.project import PROJECT, SETUP, read_procfile, with_services
from tools.local.valkey import Valkey
from tools.stack import Stack, StackFailed

# Flower only watches, and costs a second of the start.
LEFT_OUT = {"flower", "sipgateway"}
# Short enough that a repair takes seconds. Operators have the same settings.
SETTINGS = {
    "CARRIER_TIMEOUT_SECONDS": "2",
    "CARRIER_LIST_LAG_SECONDS": "2",
    "CARRIER_POLL_AFTER_SECONDS": "5",
    "CARRIER_LOOK_UPS_PER_MINUTE": "1200",
    "RETRY_MINUTE_SECONDS": "1",
    "WEBHOOK_TIMEOUT_SECONDS": "2",
    "WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "True",
    "CELERY_TASK_EVENTS": "False",
    "LOG_LEVEL": "WARNING",
    "WEB_WORKERS": "1",
    "WEB_THREADS": "8",
    "DIAL_CONCURRENCY": "4",
    "WEBHOOK_CONCURRENCY": "2",
    "CAMPAIGNS_KEPT_DAYS": "7",
    "REPORTS_STORAGE": "django.core.files.storage.FileSystemStorage",
}
# The failpoints of the code, in the order in which a call meets them; tests/core/test_failpoints.py keeps the list
# complete. docs/operator/guarantees.md says what a crash at each of them costs.
FAILPOINTS = (
    "campaign-before-commit",
    "campaign-after-commit",
    "leased",
    "claimed",
    "published",
    "batch-taken",
    "gate-asked",
    "placing",
    "carrier-answered",
    "answer-kept",
    "leg-claimed",
    "event-before-commit",
    "event-after-commit",
    "ends-before-commit",
    "inbox-before-commit",
    "inbox-after-commit",
    "slice-before-commit",
    "slice-after-commit",
    "payloads-before-commit",
    "report-kept",
    "purge-before-commit",
    "purge-after-commit",
    "sip-claimed",
    "sip-before-invite",
    "sip-after-invite",
)
# Seconds after which a process that ended is started again, as a supervisor of a real system would.
RESTART_SECONDS = 0.5
# Environment variables that break a process under test, beside an operator's settings.
BREAKING = {"CHAOS_CLOCK", "CHAOS_PROCESS", "FAILPOINT_FILE", "PYTHONPATH"}
STOP_SECONDS = 20


class System(Stack):
    """Like `make up`, but every process can be reached by its name in the Procfile, and is started again at once.

    A second process of a kind is called `control-2`.
    """

    def __init__(self, data_dir: Path, carrier: str = "sandbox") -> None:
        self.carrier = carrier
        self._clock = data_dir / "clock"
        self._failpoint = data_dir / "failpoint"
        paths = [str(Path(__file__).parent / "clock"), str(PROJECT)]
        breaking = {
            "CHAOS_CLOCK": str(self._clock),
            "FAILPOINT_FILE": str(self._failpoint),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        self.reports = data_dir / "reports"
        kept = {"REPORTS_STORAGE_OPTIONS": json.dumps({"location": str(self.reports)})}
        super().__init__(data_dir, SETTINGS | kept | breaking)
        self.ahead = 0.0
        self._commands = {name: command for name, command in read_procfile().items() if name not in LEFT_OUT}
        self._supervisor = Supervisor(Output(data_dir / "logs"))
        self._stopping = threading.Event()

    def start(self) -> None:
        _replace(self._clock, "0")
        self.start_servers()
        self._supervisor.run(SETUP, self.environment)
        database_clock.install(self.environment["DATABASE_URL"])
        for name in self._commands:
            self.spawn(name)
        threading.Thread(target=self._restart_ended, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        try:
            self._supervisor.stop(seconds=STOP_SECONDS)
        finally:
            services.stop_services(self.data_dir)

    # Processes ------------------------------------------------------------------------------------------------------

    def spawn(self, name: str) -> None:
        """Start the process of that name."""
        kind, _, number = name.partition("-")
        command = self._commands[kind].replace("@%h", f"{number}@%h")
        breaking = self.environment | {"CHAOS_PROCESS": kind}
        environment = self.environment_of_tools if kind == "sandbox" else breaking
        self._supervisor.start(name, command, environment)

    def processes(self) -> list[str]:
        """Return the names of the processes under test: all but the carrier."""
        return [name for name in self._commands if name != "sandbox"]

    def arm(self, point: str, nth: int) -> None:
        """The first process that reaches the failpoint for the nth time dies there."""
        if point not in FAILPOINTS:
            raise ValueError(f"there is no failpoint {point}")
        _replace(self._failpoint, f"{point}:{nth}")

    def is_armed(self) -> bool:
        return self._failpoint.exists()

    def arm_hold(self, point: str) -> None:
        """The first process that reaches the failpoint waits there until `let_go`, for 20 s at the most."""
        if point not in FAILPOINTS:
            raise ValueError(f"there is no failpoint {point}")
        _replace(self._failpoint, f"{point}:1:hold")

    def is_held(self) -> bool:
        return held_file(self._failpoint).exists()

    def let_go(self) -> None:
        """Let the process go on that is held, and disarm the failpoint that none has reached."""
        self._failpoint.unlink(missing_ok=True)
        held_file(self._failpoint).unlink(missing_ok=True)

    def kill(self, *names: str) -> None:
        """Send SIGKILL to each process and to the pool that it has started. It is started again."""
        for name in names:
            self._supervisor.kill(name)

    def freeze(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGCONT)

    def shut_down(self, *names: str) -> None:
        """Send SIGTERM, as a deploy does: a worker ends its tasks. It is not started again."""
        self._supervisor.stop(*names, seconds=STOP_SECONDS)

    def _restart_ended(self) -> None:
        while not self._stopping.wait(RESTART_SECONDS):
            self._supervisor.restart_ended()

    # Servers --------------------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """Start PostgreSQL and Valkey where they do not run, with their data and at their addresses.

        The processes know the addresses from their environment, as under `make up`, also while the servers are away.
        """
        urls = services.start_services(self.data_dir, environ={})
        if urls["REDIS_URL"] != self.environment.setdefault("REDIS_URL", urls["REDIS_URL"]):
            raise StackFailed("Valkey did not get its port again")
        self.environment = with_services(self.environment, urls)

    def stop_valkey(self) -> None:
        """Stop it as an operator does: its data stays."""
        Valkey(self.data_dir).end()

    def kill_valkey(self) -> None:
        """Kill it, and remove its data."""
        valkey = Valkey(self.data_dir)
        valkey.end(signal.SIGKILL)
        shutil.rmtree(valkey.folder / "appendonlydir")

    def stop_postgres(self, how: signal.Signals | None = None) -> None:
        """Stop it as an operator does, or with a signal after which it has to recover as from a crash."""
        Postgres(self.data_dir).end(how)

    def heal(self) -> None:
        """Make everything as after the start: servers, processes, the clock, a carrier that behaves."""
        self.let_go()
        self.start_servers()
        self.set_own_clocks({})
        self.set_clock(0)
        for name in self._commands:
            if self._supervisor.pid(name) is None:
                self.spawn(name)
            self.thaw(name)
        self.wait_until_ready()
        self.script({})
        self.forget_rings()

    def forget_rings(self) -> None:
        requests.delete(f"{self.sandbox_url}/_sandbox/rings", timeout=10).raise_for_status()

    # The clock ------------------------------------------------------------------------------------------------------

    def set_clock(self, ahead: float) -> None:
        """Set the time of day of the processes under test and of PostgreSQL, in seconds ahead of the machine's.

        Redis and the sandbox keep the machine's time.
        """
        self.ahead = ahead
        database_clock.set_ahead(self.environment["DATABASE_URL"], ahead)
        _replace(self._clock, str(ahead))
        if self._supervisor.pid("web") is not None:
            self._wait_for_clock(ahead)

    def set_own_clocks(self, ahead: Mapping[str, float]) -> None:
        """Set the clocks of single processes, by name, in seconds ahead of the others. Those not named are right."""
        for name in self._commands:
            _replace(self._clock.with_suffix(f".{name}"), str(ahead.get(name, 0.0)))
        time.sleep(0.5)  # each looks every tenth of a second

    def _wait_for_clock(self, ahead: float) -> None:
        """Wait until the web process has the time: the others look as often. Raises StackFailed."""
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
        """The environment of a process that is not under test, such as the judge and the sandbox."""
        return {name: value for name, value in self.environment.items() if name not in BREAKING}


def _replace(file: Path, text: str) -> None:
    """Write the file in one step, so that no process reads half of it."""
    whole = file.with_name(f"{file.name}.new")
    whole.write_text(text)
    whole.replace(file)
