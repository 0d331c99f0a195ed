"""One clock for all processes: PostgreSQL's.

A moment that one process writes is compared by another: the age of a claim, the end of a campaign, when a webhook is
due. Clocks of machines differ, so every process measures how far its own is ahead of PostgreSQL's and corrects for it
(docs/decisions/0028). Code that decides anything by the time asks `now()`, never the machine.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import Error, connection
from django.utils import timezone

log = structlog.get_logger(__name__)

# Seconds between two measurements. Clocks drift by milliseconds in that time; one that is set is noticed at once.
MEASURE_EVERY = 10.0
# Seconds after which a measurement that failed is tried again.
TRY_AGAIN = 1.0
# Seconds. Less is not corrected: it is within the error of a measurement, and no rule depends on it.
TOLERATED = 0.25
# Seconds by which the machine's clock may move between two looks before it counts as set.
WAS_SET = 0.25
# Seconds. A slower reply of the database says too little about its clock: ask again, so many times at most.
FAST_REPLY = 0.1
MOST_ASKED = 3
# Seconds apart at which an operator has to act: /readyz and the log say so.
ALARMING = 2.0


@dataclass(frozen=True)
class Measurement:
    """How far this machine's clock is ahead of PostgreSQL's, in seconds, to within the error.

    Attributes:
        at: by the monotonic clock.
        base: the machine's clock less the monotonic one. It changes when the machine's clock is set.
    """

    ahead: float
    error: float
    at: float
    base: float

    @property
    def correction(self) -> float:
        """The seconds to add to this machine's clock."""
        return 0.0 if abs(self.ahead) <= max(TOLERATED, self.error) else -self.ahead


# Whether to follow PostgreSQL at all. Tests stop the clock of their own process, which no database follows.
follows_database = True

_last: Measurement | None = None
_failed_at = -TRY_AGAIN


def now() -> datetime:
    """Return the time by PostgreSQL's clock. Asks the database every ten seconds, and when the own clock was set."""
    _measure_if_due()
    return last_known_now()


def last_known_now() -> datetime:
    """Return the same without asking, for code that must not query: the event loop of the carriers' requests."""
    own = timezone.now()
    return own + timedelta(seconds=_last.correction) if _last and _last.correction else own


def seconds_ahead() -> float | None:
    """Return by how much this machine's clock is ahead of PostgreSQL's; None while that is not known."""
    _measure_if_due()
    return _last.ahead if _last else None


def _measure_if_due() -> None:
    """Measure when it is time. While the database is away the last measurement stays."""
    global _last, _failed_at
    moment = time.monotonic()
    if not follows_database or moment - _failed_at < TRY_AGAIN:
        return
    if _last and moment - _last.at < MEASURE_EVERY and abs(_base() - _last.base) < WAS_SET:
        return
    try:
        measured = _measure()
    except Error as error:
        _failed_at = moment
        log.warning("clock_not_measured", error=type(error).__name__)
        return
    if abs(measured.ahead) >= ALARMING and (_last is None or abs(measured.ahead - _last.ahead) > TOLERATED):
        log.warning("clock_differs_from_the_database", seconds=round(measured.ahead, 1))
    _last = measured


def _measure() -> Measurement:
    """Ask the database for its time. Of several replies the fastest says the most."""
    best: Measurement | None = None
    for _ in range(MOST_ASKED):
        base, asked = _base(), time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            [[told]] = cursor.fetchall()
        replied = time.monotonic()
        error = (replied - asked) / 2
        if best is None or error < best.error:
            best = Measurement(base + asked + error - float(told), error, replied, base)
        if error < FAST_REPLY / 2:
            break
    assert best is not None
    return best


def _base() -> float:
    return time.time() - time.monotonic()
