"""What a process asks before it begins to work: are its settings right, and are its servers what it was written for?

Each process asks by itself, whoever starts it. What an operator has to change ends it, with sentences and no traceback.
What heals by itself, such as a server that is away, does not.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from core.environment import WRONG_SETTINGS

log = structlog.get_logger(__name__)

# EX_UNAVAILABLE of sysexits.h: another start may succeed, once the migrations have run for instance.
WRONG_SERVER = 69
# Commands that are processes of the Procfile: what ends them is no operator's mistake, and is told whole.
PROCESSES = {"serve_events", "sipgateway"}
# With another status of its workers gunicorn would start them again for ever.
WORKER_CANT_BOOT = 3


def require_settings() -> None:
    """End the process where settings make no sense."""
    try:
        _ = settings.DECLARED
    except ImproperlyConfigured as error:
        _end(str(error), WRONG_SETTINGS)


def require_servers(status: int = WRONG_SERVER) -> None:
    """End the process where a server is not what Trunkline needs, with this status. One that is away is waited for."""
    from campaigns_project import server_checks

    for name, meant in settings.NEARLY_SETTINGS().items():
        log.warning("setting_not_known", name=name, meant=meant)
    problems = server_checks.at_start()
    for problem in problems:
        if not problem.stops_start:
            log.warning("server_is_not_as_it_should_be", kind=problem.kind, text=problem.text)
    if stopping := [problem.text for problem in problems if problem.stops_start]:
        _end("\n".join(["Trunkline can't start:", *(f"  {text}." for text in stopping)]), status)


def run_command(arguments: Sequence[str]) -> None:
    """Run a command of `manage.py`. A server that is away, or has no tables yet, ends it with a sentence."""
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError
    from redis.exceptions import RedisError

    try:
        execute_from_command_line(list(arguments))
    except (OperationalError, ProgrammingError, RedisError) as error:
        from campaigns_project import server_checks

        has_no_tables = isinstance(error, ProgrammingError) and server_checks.is_without_tables(error)
        is_known = has_no_tables or not isinstance(error, ProgrammingError)
        if not is_known or "--traceback" in arguments or PROCESSES & set(arguments):
            raise
        words = "" if has_no_tables else f" ({' '.join(str(error).split())})"
        _end(f"{server_checks.told_of(error)}{words}.", WRONG_SERVER)


def _end(text: str, status: int) -> NoReturn:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    raise SystemExit(status)
