"""Whether the database's sessions have the settings that this program asks for when it connects."""

from django.db import connection


def lost_settings() -> str:
    """Return a warning where a pooler swallowed the settings of the connection, "" where they are in force.

    Without them a process that hangs in a transaction holds its locks for ever.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')")
        [given] = cursor.fetchall()
    if "0" not in given:
        return ""
    return (
        "a connection pooler has dropped the settings lock_timeout and idle_in_transaction_session_timeout of this"
        " server's connections. Set them for its role in PostgreSQL: ALTER ROLE trunkline SET lock_timeout = '10s';"
        " ALTER ROLE trunkline SET idle_in_transaction_session_timeout = '30s'"
    )
