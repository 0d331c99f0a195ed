"""A real PgBouncer in transaction mode, before the tests' PostgreSQL. PROGRAM is None where none is installed."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tools.local import postgres
from tools.local.ports import accepts_connections

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/bin:/usr/local/bin")
CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
min_pool_size = {sessions}
default_pool_size = {sessions}
server_round_robin = 1
ignore_startup_parameters = extra_float_digits, options
"""


class PgBouncer:
    """PgBouncer, as the user that the embedded PostgreSQL runs as: the socket is closed to others."""

    def __init__(self, server: str, port: int, *, sessions: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
        self._folder.chmod(0o755)
        file = self._folder / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(server=server, port=port, sessions=sessions))
        file.chmod(0o644)
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "--quiet", str(file)], cwd="/", stderr=subprocess.PIPE, text=True, **postgres.as_user()
        )
        self._port = port

    def __enter__(self) -> None:
        while not accepts_connections("127.0.0.1", self._port):
            assert self._process.poll() is None, self._process.communicate()[1]
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=60)
        shutil.rmtree(self._folder, ignore_errors=True)
