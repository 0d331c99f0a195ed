"""Named by ENGINE in the settings; Django looks for `DatabaseWrapper` in a module called `base`."""

import time

from django.db.backends.postgresql import base

# A connection that lived so long ago is taken to live, in seconds. A carrier's callback is one INSERT: asking
# `SELECT 1` before each of them took a third of a web process's time. The cost: for as long after PostgreSQL went away,
# a request or a task fails that would have found out first; carriers, ticks and clients come again.
ASK_AGAIN_AFTER = 1.0


class DatabaseWrapper(base.DatabaseWrapper):
    _asked_at = float("-inf")

    def is_usable(self) -> bool:
        # After an error only the truth helps.
        if not self.errors_occurred and time.monotonic() - self._asked_at < ASK_AGAIN_AFTER:
            return True
        usable = super().is_usable()
        self._asked_at = time.monotonic() if usable else float("-inf")
        return usable

    def connect(self) -> None:
        super().connect()
        self._asked_at = time.monotonic()
