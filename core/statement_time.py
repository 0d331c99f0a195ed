"""How much a statement may take: bounded in web processes, where others wait for what one client asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


def limit(database: dict[str, Any], seconds: int) -> None:
    """Bound each statement of connections that are opened with these settings from now on: its time, and to one core.

    PostgreSQL would give a search through an address book two workers more, and so all cores of a small machine.
    """
    bounds = f"-c statement_timeout={seconds}s -c max_parallel_workers_per_gather=0"
    # First, so that what the operator has given in DATABASE_URL wins.
    database["OPTIONS"]["options"] = f"{bounds} {database['OPTIONS']['options']}"


@contextmanager
def unlimited() -> Iterator[None]:
    """Let statements take as long as they do, such as one that lasts until a client has read all of its rows."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("RESET statement_timeout")
