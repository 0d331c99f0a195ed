"""PostgreSQL and Valkey for the tests, started before anything reads the settings (`-p tests.services`).

Where DATABASE_URL and REDIS_URL are set, as in a CI that brings its own servers, those are used. Otherwise both servers
run on throwaway data in a temporary DATA_DIR, never in the `.data` of a `make up` beside them. All is stopped and
removed at the end, also after Ctrl-C or an error in collection; what a killed run left is removed by the next one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from tools.local import services

_PREFIX = "trunkline-tests-"


def _start() -> ExitStack:
    """Start what is missing and tell the environment; closing the stack undoes all of it."""
    _remove_leftovers()
    stack = ExitStack()
    data_dir = Path(tempfile.mkdtemp(prefix=_PREFIX))
    stack.callback(shutil.rmtree, data_dir, ignore_errors=True)
    try:
        stack.enter_context(services.exclusive_use(data_dir))
        urls = stack.enter_context(services.embedded_services(data_dir, durable=False))
    except BaseException:
        stack.close()
        raise
    os.environ.update(urls)
    os.environ.setdefault("CELERY_BROKER_URL", urls["REDIS_URL"])
    os.environ["DATA_DIR"] = str(data_dir)
    (data_dir / "static").mkdir()  # what collectstatic makes: without it every web process warns
    return stack


def _remove_leftovers() -> None:
    """Stop and remove the servers of earlier runs that were killed: their lock is free."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(services.AlreadyRunning, OSError):
            if folder.stat().st_uid != os.geteuid() or not (folder / "up.lock").exists():
                continue
            with services.exclusive_use(folder):
                services.stop_services(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _interrupt(_signal: int, _frame: object) -> None:
    """End as with Ctrl-C, so that a CI that gives up leaves no server behind."""
    raise KeyboardInterrupt


if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    signal.signal(signal.SIGTERM, _interrupt)

_services = _start()
atexit.register(_services.close)


def pytest_report_header() -> str:
    return f"services: {os.environ['DATABASE_URL']}, {os.environ['REDIS_URL']}"


def pytest_unconfigure() -> None:
    """The very end of the run, reached after a failed collection and after Ctrl-C too."""
    _services.close()
