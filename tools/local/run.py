"""Run one process of the Procfile in the place of this one: `python -m tools.local.run web`.

Containers, systemd units and Kubernetes start their processes with it, so that each command stands in the Procfile
alone, and `.env` is read as `make up` reads it. `prepare` brings the database and the static files up to date instead;
it may run at any time, and on several machines at once.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from core.dotenv import DotenvError
from core.environment import WRONG_SETTINGS
from tools.local.project import PROJECT, SETUP, operator_environment, read_procfile

PREPARE = "prepare"


def main(arguments: Sequence[str] | None = None) -> int:
    commands = read_procfile()
    parser = argparse.ArgumentParser(prog="python -m tools.local.run", description="Run one process of the Procfile.")
    parser.add_argument("name", choices=[*commands, PREPARE], help=f"the process, or {PREPARE} before the first start")
    name = parser.parse_args(arguments).name
    try:
        environment = operator_environment(PROJECT)
    except DotenvError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_SETTINGS
    environment.setdefault("PYTHONUNBUFFERED", "1")  # or a log would lag behind what it tells
    os.chdir(PROJECT)
    return _prepare(environment) if name == PREPARE else _become(commands[name], environment)


def _prepare(environment: dict[str, str]) -> int:
    return subprocess.run([sys.executable, *SETUP], env=environment, check=False).returncode


def _become(command: str, environment: dict[str, str]) -> NoReturn:
    """Signals then reach the process itself, and its exit code the one who started this."""
    os.execve("/bin/sh", ["sh", "-c", command], environment)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
