"""Indian time on the wire, Unix seconds inside."""

import datetime as dt
import time
from functools import lru_cache

# Exotel writes dates without a zone and means Indian time (reference, section 11). India has no daylight saving time.
INDIAN_TIME = dt.timezone(dt.timedelta(hours=5, minutes=30))
WIRE_FORMAT = "%Y-%m-%d %H:%M:%S"


def now() -> float:
    """Wall clock, Unix seconds. Wall rather than monotonic, so that the ring log can be laid beside other logs."""
    return time.time()


def to_wire(moment: float | None) -> str | None:
    """Unix seconds as Exotel writes them, cut to whole seconds; None stays None."""
    return None if moment is None else _second_to_wire(int(moment))


@lru_cache(maxsize=1024)  # ten dates are written for each call, and most of them are of the last few seconds
def _second_to_wire(second: int) -> str:
    return dt.datetime.fromtimestamp(second, INDIAN_TIME).strftime(WIRE_FORMAT)


def from_wire(text: str) -> float:
    """Unix seconds of a date as Exotel writes it. Raises ValueError."""
    return dt.datetime.strptime(text, WIRE_FORMAT).replace(tzinfo=INDIAN_TIME).timestamp()
