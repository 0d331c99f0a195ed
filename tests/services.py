"""PostgreSQL and Valkey for the tests, started before anything reads the settings (`-p tests.services`).

Where DATABASE_URL and REDIS_URL are set, as in a CI that brings its own servers, those are used. Otherwise both servers
run on throwaway data in a temporary DATA_DIR, never in the `.data` of a `make up` beside them.

With several workers (`-n`) all share the PostgreSQL server, where each has a database of its own, and each has a Valkey
and a DATA_DIR of its own, because tests flush Valkey. The process that distributes the tests starts and stops every
server; workers find them in their environment.

Everything is stopped and removed at the end, also after Ctrl-C, an error in collection or the crash of a worker. What a
killed run left behind is removed by the next one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tools.local import postgres, services

RUN_FOLDER = "TRUNKLINE_TESTS_FOLDER"
"""The environment variable with the run's temporary folder. Every process that the run starts inherits it."""

_PREFIX = "trunkline-tests-"
_TEMPORARY = "temporary-"
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
_GIVEN = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL") if os.environ.get(name)}

# Most tests dial over the carrier inside the process, which no production server offers.
os.environ["SIMULATED_CARRIER"] = "True"

# The product's modules and the rewritten tests are compiled once, not in each of the hundred processes of a run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def _start() -> ExitStack:
    """Start the servers that are missing and set the environment to them; closing the stack undoes all of it."""
    _remove_leftovers()
    stack = ExitStack()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    try:
        stack.enter_context(services.exclusive_use(folder))
        os.environ[RUN_FOLDER] = str(folder)
        # Two runs of root that share /tmp/pytest-of-root, as the default is, close it to each other's PostgreSQL.
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        if "DATABASE_URL" not in _GIVEN:
            os.environ[postgres.TEMPLATE] = str(folder / "initdb")
            postgres.make_template(folder / "initdb")
        stack.callback(_end_processes_of, folder)
        os.environ.update(_start_servers(stack, folder, _GIVEN))
    except BaseException:
        stack.close()
        raise
    return stack


def _start_servers(stack: ExitStack, data_dir: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Start the servers that are not given; returns the environment variables that lead to all of them."""
    (data_dir / "static").mkdir(parents=True)  # made by collectstatic; without it every web process warns
    urls = stack.enter_context(services.embedded_services(data_dir, environ=given, durable=False))
    return {"CELERY_BROKER_URL": urls["REDIS_URL"], **given, **urls, "DATA_DIR": str(data_dir)}


def _remove_leftovers() -> None:
    """Stop and remove the servers of earlier runs that were killed: their lock is free."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(services.AlreadyRunning, OSError):
            if folder.stat().st_uid != os.geteuid() or not (folder / "up.lock").exists():
                continue
            with services.exclusive_use(folder):
                services.stop_services(folder)
                _end_processes_of(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _end_processes_of(folder: Path) -> None:
    """End what tests of the run in `folder` left running, such as a whole system whose worker was killed."""
    folders = [folder, *(link.resolve() for link in folder.glob(f"{_TEMPORARY}*"))]
    left = {process.pid: process for process in psutil.process_iter() if _belongs_to(process, folders)}
    for process in left.values():
        with suppress(psutil.Error):
            if process.ppid() not in left:  # the others are stopped by their parent, in its order
                process.terminate()
    _, alive = psutil.wait_procs(left.values(), timeout=30)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def _belongs_to(process: psutil.Process, folders: list[Path]) -> bool:
    """By the environment, or by the working folder: PostgreSQL and Valkey write their title over their environment."""
    with suppress(psutil.Error):
        if process.pid == os.getpid():
            return False
        if process.environ().get(RUN_FOLDER) == str(folders[0]):
            return True
        return any(Path(process.cwd()).is_relative_to(folder) for folder in folders)
    return False


def _interrupt(_signal: int, _frame: object) -> None:
    """End as with Ctrl-C, so that a CI that gives up leaves no server behind."""
    raise KeyboardInterrupt


if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    signal.signal(signal.SIGTERM, _interrupt)

_services = ExitStack() if _IS_WORKER else _start()
atexit.register(_services.close)


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: two workers more than there are cores, because many tests wait for other processes.

    Without those that start systems few wait, and each worker takes five seconds of processor time to start: one more.
    """
    more = 1 if config.option.markexpr == "not system" else 2
    return 1 if "REDIS_URL" in _GIVEN else len(os.sched_getaffinity(0)) + more


def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Give each worker a Valkey and a DATA_DIR; the first one takes those that run already.

    A worker that replaces a crashed one inherits its environment.
    """
    if "REDIS_URL" in _GIVEN and len(specs) > 1:
        raise pytest.UsageError("All workers would flush the Redis of REDIS_URL: use -n 1, or unset REDIS_URL.")
    given = _GIVEN | {"DATABASE_URL": os.environ["DATABASE_URL"]}
    for number, spec in enumerate(specs[1:], start=1):
        data_dir = Path(os.environ[RUN_FOLDER]) / f"worker{number}"
        spec.env.update(_start_servers(_services, data_dir, given))


@pytest.fixture(scope="session", autouse=True)
def _known_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Record where this process's tests have their files, so that servers that run there are found and ended."""
    link = Path(os.environ[RUN_FOLDER]) / f"{_TEMPORARY}{os.getpid()}"
    link.symlink_to(tmp_path_factory.getbasetemp())


def pytest_report_header() -> str:
    return f"services: {os.environ['DATABASE_URL']}, {os.environ['REDIS_URL']}"


def pytest_unconfigure() -> None:
    """The very end of the run, reached after a failed collection and after Ctrl-C too."""
    _services.close()
