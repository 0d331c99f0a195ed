"""The database backend that ENGINE names; Django looks for `DatabaseWrapper` in a module called `base`."""

import time

from django.db.backends.postgresql import base

# Seconds for which a connection is assumed alive without a check. A carrier's callback is one INSERT: a `SELECT 1`
# before each of them took a third of a web process's time. The price: for so long after PostgreSQL went away, a request
# or a task fails that a check would have given a new connection. Carriers, ticks and clients try again.
ASSUMED_ALIVE_SECONDS = 1.0

# How the server must write what is read here. The start-up options of a connection say so (`core/server_urls.py`), but
# a pooler drops those, and a role may have others: ALTER ROLE … SET DateStyle = 'German'.
_WRITTEN_AS = {"DateStyle": "ISO", "IntervalStyle": "postgres", "standard_conforming_strings": "on"}


class DatabaseWrapper(base.DatabaseWrapper):
    _checked_at = float("-inf")

    def is_usable(self) -> bool:
        # After an error only a real check helps.
        if not self.errors_occurred and time.monotonic() - self._checked_at < ASSUMED_ALIVE_SECONDS:
            return True
        usable = super().is_usable()
        self._checked_at = time.monotonic() if usable else float("-inf")
        return usable

    def connect(self) -> None:
        super().connect()
        self._checked_at = time.monotonic()

    def init_connection_state(self) -> None:
        """Set what the server told of itself as it connected and is not as it must be: rarely anything."""
        told = self.connection.info
        wrong = [
            f"SET {name} = '{wanted}'"
            for name, wanted in _WRITTEN_AS.items()
            if not (told.parameter_status(name) or "").startswith(wanted)
        ]
        if wrong:
            self.connection.execute("; ".join(wrong))
        super().init_connection_state()
