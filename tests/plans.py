"""Plans of PostgreSQL, whenever its autovacuum has looked at the tables of the tests: it does so at any time."""

from django.db.backends.utils import CursorWrapper


def forget_statistics(cursor: CursorWrapper) -> None:
    """Plan for tables of some rows, until the transaction ends. Of one that was seen empty any index is as good."""
    cursor.execute("SELECT current_setting('is_superuser') = 'on'")
    if cursor.fetchone() == (True,):  # of a server that was given, perhaps not
        ours = "relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"
        cursor.execute(f"DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE {ours})")
        cursor.execute(f"UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE {ours}")
