"""Let one process at a time prepare the database, on whichever machines they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections

# The advisory lock of preparations.
_LOCK = 7_305_811_646_102_113


@contextmanager
def preparing(waits: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock for the length of a `with` block; wait while another process holds it.

    The lock is a transaction's, on a connection of its own: a pooler gives each transaction of a session another server
    connection, where a session's lock would stay behind. That transaction has no snapshot, so it keeps nothing from
    being vacuumed, and its time-outs are its own.

    Args:
        waits: called before a wait.
    """
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        with own.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL lock_timeout = 0")
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            [[is_ours]] = cursor.fetchall()
            if not is_ours:
                waits()
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            yield
            cursor.execute("COMMIT")
    finally:
        own.close()
