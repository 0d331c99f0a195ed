"""The turn of recovery's sweeps: one at a time, by a lease in the database that ends by itself.

Not a session lock, which a connection pooler leaves behind with whichever session it was taken in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from accounts.installation import ONLY, Installation, load
from core import clocks, liveness

# Beyond the carrier's own time-out, for what a step does beside asking.
SPARE = timedelta(seconds=10)


def lifetime() -> timedelta:
    """Return for how long a turn lasts that is not renewed: longer than the longest step of a sweep."""
    return timedelta(seconds=settings.CARRIER_TIMEOUT_SECONDS) + SPARE


class Turn:
    """A sweep's turn, to be renewed before each step that may take long."""

    def __init__(self, until: datetime) -> None:
        self._until = until

    def renew(self) -> bool:
        """Take the turn for another while. Returns False where it had ended, and another sweep has it."""
        until = clocks.now() + lifetime()
        still = Installation.objects.filter(pk=ONLY, sweep_until=self._until).update(sweep_until=until)
        self._until = until if still else self._until
        liveness.note(liveness.RECOVERY)
        return bool(still)

    def end(self) -> None:
        Installation.objects.filter(pk=ONLY, sweep_until=self._until).update(sweep_until=None, alive_at=clocks.now())
        liveness.note(liveness.RECOVERY)


@contextmanager
def turn(now: datetime) -> Iterator[Turn | None]:
    """Yield the turn; None while another sweep has it."""
    load()
    until = now + lifetime()
    with connection.cursor() as cursor:
        # A turn that ends later than one can was taken by a clock that was set back since.
        cursor.execute(
            f"""
            UPDATE accounts_installation SET sweep_until = %s WHERE id = {ONLY}
                AND (sweep_until IS NULL OR sweep_until <= %s OR sweep_until > %s)
            """,  # noqa: S608 -- a constant
            [until, now, until + lifetime()],
        )
        is_ours = cursor.rowcount == 1
    if not is_ours:
        yield None
        return
    own = Turn(until)
    try:
        yield own
    finally:
        own.end()
