"""Indian time on the wire, Unix seconds inside."""

import datetime as dt
import time
from email.utils import format_datetime
from functools import lru_cache

# Exotel's v1 API writes dates without a zone and means Indian time, which has no daylight saving time.
INDIAN_TIME = dt.timezone(dt.timedelta(hours=5, minutes=30))
WIRE_FORMAT = "%Y-%m-%d %H:%M:%S"


def now() -> float:
    """Return Unix seconds by the wall clock, not the monotonic one: the ring log is compared with other logs."""
    return time.time()


def to_wire(moment: float | None) -> str | None:
    """Write Unix seconds as Exotel does, cut to whole seconds; None stays None."""
    return None if moment is None else _second_to_wire(int(moment))


@lru_cache(maxsize=1024)  # ten dates are written for each call, and most of them are of the last few seconds
def _second_to_wire(second: int) -> str:
    return dt.datetime.fromtimestamp(second, INDIAN_TIME).strftime(WIRE_FORMAT)


def to_rfc2822(moment: float | None) -> str | None:
    """Write Unix seconds as Twilio does, in UTC and cut to whole seconds; None stays None."""
    return None if moment is None else format_datetime(dt.datetime.fromtimestamp(int(moment), dt.UTC))


def from_wire(text: str) -> float:
    """Read a date of Exotel's to Unix seconds. Raises ValueError."""
    return dt.datetime.strptime(text, WIRE_FORMAT).replace(tzinfo=INDIAN_TIME).timestamp()
