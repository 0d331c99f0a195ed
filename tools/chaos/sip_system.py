"""A running system whose calls go over a SIP trunk: its gateway can be killed, and sipp is the trunk's far end."""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg

from core import services_file
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.project import read_procfile
from tools.sipp_party import Ring, Sipp
from tools.stack import Stack

SETTINGS = {
    "RETRY_MINUTE_SECONDS": "1",
    "RING_TIMEOUT_SECONDS": "4",
    "SIP_SILENCE_SECONDS": "3",
    "CARRIER_POLL_AFTER_SECONDS": "5",
    "CARRIER_LOOK_UPS_PER_MINUTE": "1200",
    "LOG_LEVEL": "WARNING",
    "CELERY_TASK_EVENTS": "False",
}
RESTART_SECONDS = 0.5


class System:
    """A stack, its gateway, which is started again when it ends, and the trunk's far end."""

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder, SETTINGS)
        self.failpoint = folder / "failpoint"
        [port] = free_ports(1)
        self._environment = {**self.stack.environment, "SIP_PORT": str(port), "FAILPOINT_FILE": str(self.failpoint)}
        self.parties = [Sipp(folder, "trunk")]
        self._party_is_changed = threading.Lock()
        self.gateway: process_groups.Process | None = None
        self._is_over = threading.Event()

    def start(self) -> None:
        self.stack.start()
        self.stack.wait_until_ready()
        self.stack.manage("create_trunk", "sip", "--carrier", "sip", "--base-url", f"sip:127.0.0.1:{self.party.port}")
        threading.Thread(target=self._keep_gateway, daemon=True).start()
        threading.Thread(target=self._keep_party, daemon=True).start()
        self.wait_until(lambda: self.ask("SELECT count(*) FROM sipgateway_gateway") != [(0,)], "no gateway started")

    def stop(self) -> None:
        self._is_over.set()
        if self.gateway is not None:
            process_groups.stop([self.gateway])
        with self._party_is_changed:
            for party in self.parties:
                party.stop()
        self.stack.stop()

    @property
    def party(self) -> Sipp:
        return self.parties[-1]

    def silence(self, seconds: float) -> None:
        """Take the far end away, and bring it back at the same address."""
        with self._party_is_changed:
            self.party.stop()
            time.sleep(seconds)
            self._start_party()

    def freeze(self, seconds: float) -> None:
        """Let the far end stand still. It takes and answers then what came meanwhile."""
        self.party.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.party.process.send_signal(signal.SIGCONT)

    def kill_gateway(self) -> None:
        if self.gateway is not None:
            process_groups.signal_group(self.gateway, signal.SIGKILL)

    def rings(self) -> list[Ring]:
        """Return what the far end has heard, of all its lives.

        An INVITE that sipp took as its last deed, and died before it responded to, rang nobody: nothing tells the
        gateway from silence there, and the attempt is rightly given back.
        """
        return once(ring for party in self.parties for ring in party.rings() if ring.has_response or party.is_up)

    def keep_logs(self, folder: Path) -> None:
        """Copy the messages of the far end and the gateway's log, to look at what went wrong."""
        folder.mkdir(parents=True)
        for log in (*(party.messages for party in self.parties), self.stack.data_dir / "sipgateway.log"):
            shutil.copy(log, folder)

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        url = services_file.running_services(self.stack.data_dir)["DATABASE_URL"]
        with psycopg.connect(url) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.05)

    def _keep_gateway(self) -> None:
        while not self._is_over.is_set():
            with (self.stack.data_dir / "sipgateway.log").open("ab") as log:
                self.gateway = process_groups.spawn(read_procfile()["sipgateway"], self._environment, stdout=log)
            self.gateway.wait()
            self._is_over.wait(RESTART_SECONDS)

    def _keep_party(self) -> None:
        """Bring the far end back where it has ended by itself, as sipp may after it stood still: a fault like 12e's."""
        while not self._is_over.wait(RESTART_SECONDS):
            with self._party_is_changed:
                if not self._is_over.is_set() and not self.party.is_up:
                    print(f"sipp has ended with {self.party.process.returncode}, and is started again", flush=True)
                    self._start_party()

    def _start_party(self) -> None:
        self.parties.append(Sipp(self.stack.data_dir, "trunk", port=self.party.port))


def once(rings: Iterable[Ring]) -> list[Ring]:
    """Return each ring once: an INVITE that was sent again may reach two lives of a far end."""
    found: dict[tuple[str, str], Ring] = {}
    for ring in rings:
        known = found.setdefault((ring.call_id, ring.tag), ring)
        began, ended = min(known.began, ring.began), max(known.ended, ring.ended)
        found[ring.call_id, ring.tag] = Ring(ring.call_id, ring.number, began, ended, ring.tag)
    return list(found.values())
