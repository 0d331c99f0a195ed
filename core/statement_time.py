"""How much a statement may take: bounded in web processes, where others wait for what one client asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from core import server_urls


def limit(database: dict[str, Any], seconds: int) -> None:
    """Bound each statement of connections that are opened with these settings from now on: its time, and to one core.

    PostgreSQL would give a search through an address book two workers more, and so all cores of a small machine.
    """
    bounds = f"-c statement_timeout={seconds}s -c max_parallel_workers_per_gather=0"
    # Behind what every process sets, and before what the operator has given in DATABASE_URL, which wins.
    given = database["OPTIONS"]["options"].removeprefix(server_urls.SESSION)
    database["OPTIONS"]["options"] = f"{server_urls.SESSION} {bounds}{given}"


@contextmanager
def unlimited() -> Iterator[None]:
    """Let statements take as long as they do, such as one that lasts until a client has read all of its rows.

    For the length of a transaction: a setting of the session would stay with one that a connection pooler shares.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")
        yield
