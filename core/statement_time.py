"""How long a statement may take: bounded in web processes, where a client that waits would hold a thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


def limit(database: dict[str, Any], seconds: int) -> None:
    """Bound each statement of connections that are opened with these settings from now on."""
    database["OPTIONS"]["options"] += f" -c statement_timeout={seconds}s"


@contextmanager
def unlimited() -> Iterator[None]:
    """Let statements take as long as they do, such as one that lasts until a client has read all of its rows."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("RESET statement_timeout")
