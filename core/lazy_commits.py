"""Commit without waiting for the disk, where a transaction that a crash takes back is simply done again.

PostgreSQL then flushes within a second, and keeps the order: whoever commits later and waits, waits for this one too.
So a crash takes back the last slices of such work as a whole, with the note of how far it had come, and it goes on from
there. Only for work that is found again by its rows, and of which nobody was told by anything but these rows.
"""

from django.db import connection

# The same as a column of a statement that the transaction makes anyway.
ALLOWED = "set_config('synchronous_commit', 'off', true)"


def allow() -> None:
    """Let the transaction at work commit so."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
