"""A PostgreSQL and a Valkey of a figure's own, and processes beside them that are no part of a whole system."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.local.output import Output
from tools.local.processes import Supervisor
from tools.local.project import PROJECT, own_environment, with_services
from tools.local.services import embedded_services

MIGRATE_SECONDS = 120
SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "DJANGO_SETTINGS_MODULE": "campaigns_project.settings",
    "SIMULATED_CARRIER": "True",
}


@contextmanager
def empty(data_dir: Path) -> Iterator[dict[str, str]]:
    """Run both servers for the length of a `with` block; yields the environment of processes that use them."""
    with embedded_services(data_dir, environ={}) as urls:
        yield with_services(own_environment(data_dir, SETTINGS), urls)


@contextmanager
def migrated(data_dir: Path) -> Iterator[dict[str, str]]:
    """The same, with this system's tables and nothing in them."""
    with empty(data_dir) as environment:
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=environment, check=True, timeout=MIGRATE_SECONDS)
        yield environment


@contextmanager
def started(commands: Mapping[str, str], environment: Mapping[str, str], data_dir: Path) -> Iterator[Supervisor]:
    """Run shell commands by name for the length of a `with` block; their output goes to data_dir/logs/NAME.log."""
    supervisor = Supervisor(Output(data_dir / "logs"))
    try:
        for name, command in commands.items():
            supervisor.start(name, command, environment)
        yield supervisor
    finally:
        supervisor.stop()
