"""Two things at once over two connections, without luck: the second goes on until it has ended, or waits for a lock.

A test that gives it some time instead passes on a busy machine whatever the code does.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, connections, transaction


def in_thread(work: Callable[..., object], *args: Any) -> threading.Thread:
    """Run it in a thread that leaves no connection open. A fault in it fails the test."""

    def run() -> None:
        try:
            work(*args)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def waits(thread: threading.Thread) -> bool:
    """Return whether the work waits for a lock of the database, as soon as it does or has ended."""
    while thread.is_alive():
        if somebody_waits():
            return True
        time.sleep(0.001)
    return False


def during(work: Callable[[], object], other: Callable[[], object]) -> bool:
    """Do other work between this work and its commit, unless it waits for that. Returns whether it waited."""
    with transaction.atomic():
        work()
        thread = in_thread(other)
        has_waited = waits(thread)
    thread.join(60)
    assert not thread.is_alive()
    return has_waited


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE datname = current_database() AND NOT granted)"
        )
        [(found,)] = cursor.fetchall()
    return bool(found)
