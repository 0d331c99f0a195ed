"""The project's folder, its Procfile, and the environment that its processes are started in."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from honcho.environ import parse_procfile

from core import dotenv

PROJECT = Path(__file__).resolve().parents[2]
PROCFILE = PROJECT / "Procfile"

SETUP = ("manage.py", "prepare", "--verbosity", "0")
"""What makes the database and the static files ready, run in the project's folder. It may be repeated at will."""

OF_ANOTHER_SYSTEM = frozenset(
    {
        "DATABASE_URL",
        "REDIS_URL",
        "CELERY_BROKER_URL",
        "PUBLIC_URL",
        "EVENTS_URL",
        "SANDBOX_URL",
        "SECRET_KEY",
        "DJANGO_SETTINGS_MODULE",
    }
)
"""Variables that a system with servers and data of its own must not take from the shell that starts it."""


def read_procfile(path: Path = PROCFILE) -> dict[str, str]:
    """Return the Procfile's commands by process name. Raises OSError."""
    return dict(parse_procfile(path.read_text()).processes)


def operator_environment(project: Path) -> dict[str, str]:
    """Return this process's environment above the project's `.env`, with an absolute DATA_DIR.

    Raises:
        DotenvError
    """
    environment = dict(os.environ)
    dotenv.load(project / ".env", environment)
    environment["DATA_DIR"] = str(Path(environment.get("DATA_DIR") or project / ".data").resolve())
    return with_programs(environment)


def own_environment(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a system with servers and data of its own, in data_dir.

    Args:
        settings: environment variables beside this process's own.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_SYSTEM}
    return with_programs(inherited) | {"DATA_DIR": str(data_dir), **settings}


def with_services(environment: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with DATABASE_URL and REDIS_URL from urls, and Redis as the broker."""
    return {**environment, **urls, "CELERY_BROKER_URL": urls["REDIS_URL"]}


def with_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the programs of this Python first in the path."""
    # Not resolved: the interpreter of a virtualenv is a link, and its neighbours are the programs that are meant.
    programs = Path(sys.executable).absolute().parent
    return {**environment, "PATH": os.pathsep.join([str(programs), environment.get("PATH", os.defpath)])}
