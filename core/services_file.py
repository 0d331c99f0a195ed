"""DATA_DIR/services.json: which embedded servers run for this DATA_DIR, and where they listen.

tools.local writes it when it starts and stops the servers; settings.py reads it, so that `manage.py shell` beside a
running `make up` finds its databases.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import psutil

_URL_VARIABLE = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}


def running_services(data_dir: Path) -> dict[str, str]:
    """Return DATABASE_URL and REDIS_URL of the servers that run for this DATA_DIR; {} when none does.

    It checks that the recorded processes are alive and makes no connection, so it is cheap enough for settings.py.
    """
    recorded = read(data_dir)
    return {_URL_VARIABLE[name]: service["url"] for name, service in recorded.items() if is_alive(service["pid"])}


def read(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of the file by server (postgres, valkey); {} when it is missing or unreadable."""
    try:
        entries = json.loads(_path(data_dir).read_text())
        return {name: dict(entries[name]) for name in _URL_VARIABLE if name in entries}
    except (OSError, ValueError, TypeError):
        return {}


def record(data_dir: Path, name: str, **service: Any) -> None:
    """Enter a server.

    Args:
        service: its pid and url, and what the tool that started it needs to stop it.
    """
    _write(data_dir, read(data_dir) | {name: service})


def forget(data_dir: Path, name: str) -> None:
    """Remove a server's entry."""
    entries = read(data_dir)
    entries.pop(name, None)
    _write(data_dir, entries)


def is_alive(pid: int) -> bool:
    """Tell whether the process is alive. A zombie, which its parent has not collected yet, is not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _path(data_dir: Path) -> Path:
    return data_dir / "services.json"


def _write(data_dir: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Replace the file in one step, so that no reader sees half of it. Without entries the file is removed."""
    path = _path(data_dir)
    if not entries:
        path.unlink(missing_ok=True)
        return
    # mkstemp creates the file with mode 0600: the addresses are for this user alone.
    descriptor, temporary = tempfile.mkstemp(prefix=".services-", dir=data_dir)
    with os.fdopen(descriptor, "w") as file:
        json.dump(entries, file, indent=2)
        file.write("\n")
    Path(temporary).replace(path)
