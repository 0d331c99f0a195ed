"""Starts an embedded server again that has ended: killed for want of memory, or crashed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tools.local.cpu_groups import NO_GROUPS, CpuGroups
from tools.local.embedded_server import START_SECONDS, EmbeddedError, EmbeddedServer
from tools.local.process_groups import wait_for
from tools.local.restarts import Restarts

LOOK_SECONDS = 0.5
HEALTHY_AFTER = 10.0
"""Seconds after which a server counts as healthy again, so that its next restart waits for nothing."""
LEFT_SECONDS = 5.0
"""How long what is left of a killed server may take to end by itself. PostgreSQL's sessions notice within a second."""


@dataclass
class _Guarded:
    server: EmbeddedServer
    url: str
    started: float = field(default_factory=time.monotonic)
    due: float | None = None
    restarts: Restarts = field(default_factory=lambda: Restarts(was_healthy=True))


class ServerGuard:
    """Watches servers in a thread of its own: a start may take a minute, and Ctrl-C must not wait for it.

    A server comes back at its old address with its data, so that the processes which use it find it again.

    Args:
        servers: those that run, and their URLs.
        say: takes a sentence for the operator.
        groups: which a server is put into, by its name; those that run, too.
    """

    def __init__(
        self, servers: Mapping[EmbeddedServer, str], say: Callable[[str], None], groups: CpuGroups = NO_GROUPS
    ) -> None:
        self._guarded = [_Guarded(server, url) for server, url in servers.items()]
        self._say = say
        self._groups = groups
        for server in servers:
            self._place(server)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="server-guard")

    def start(self) -> None:
        self._thread.start()

    def stop_restarting(self) -> None:
        """Start no more servers. Returns at once."""
        self._closing.set()

    def join(self) -> None:
        """Wait until no server is being started, so that all of them can be stopped."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(START_SECONDS)

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            for guarded in self._guarded:
                if not self._closing.is_set():
                    self._look(guarded)

    def _look(self, guarded: _Guarded) -> None:
        if guarded.due is None:
            if guarded.server.is_running():
                return
            self._plan(guarded, "has ended")
        assert guarded.due is not None
        if time.monotonic() < guarded.due:
            return
        try:
            self._restart(guarded)
        except (EmbeddedError, OSError) as error:
            guarded.started = time.monotonic()
            self._plan(guarded, f"could not be started: {error}")

    def _plan(self, guarded: _Guarded, what: str) -> None:
        wait = guarded.restarts.wait_after(time.monotonic() - guarded.started, HEALTHY_AFTER)
        assert wait is not None
        guarded.due = time.monotonic() + wait
        when = f"in {wait:.0f} s" if wait else "now"
        self._say(f"{guarded.server.name} {what}; it is started again {when}")

    def _restart(self, guarded: _Guarded) -> None:
        wait_for(lambda: not guarded.server.processes(), LEFT_SECONDS)
        guarded.server.restart(guarded.url)
        self._place(guarded.server)
        guarded.started, guarded.due = time.monotonic(), None
        self._say(f"{guarded.server.name} runs again")

    def _place(self, server: EmbeddedServer) -> None:
        if process := server.main_process():
            self._groups.place(server.name, process.pid)
