"""Moments as text, in the zone that the reader lives in."""

from datetime import datetime, tzinfo
from typing import overload


@overload
def rfc3339(moment: datetime, zone: tzinfo) -> str: ...
@overload
def rfc3339(moment: None, zone: tzinfo) -> None: ...
@overload
def rfc3339(moment: datetime | None, zone: tzinfo) -> str | None: ...
def rfc3339(moment: datetime | None, zone: tzinfo) -> str | None:
    """Write `2026-03-27T10:30:05+05:30`: the zone's wall clock with its offset, to the second. None stays None."""
    return moment.astimezone(zone).isoformat(timespec="seconds") if moment else None
