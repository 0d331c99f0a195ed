"""The most calls to a number in a rolling time, and how such a cap and times are written: `3 attempts in 24 hours`."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from django.core.exceptions import ValidationError

ATTEMPTS, CONVERSATIONS = "attempts", "conversations"
FOREVER = timedelta(days=36_500)

_CAP = re.compile(r"(?P<most>[1-9][0-9]{0,3}) (?P<counts>attempt|conversation)s? in (?P<within>.+)")
_TIME = re.compile(r"(?P<count>[1-9][0-9]{0,3}) (?P<unit>minute|hour|day)s?")


@dataclass(frozen=True)
class Cap:
    """At most this many attempts or conversations with a number within any time so long, all campaigns together."""

    most: int
    within: timedelta
    counts: Literal["attempts", "conversations"] = "attempts"

    def __str__(self) -> str:
        counts = self.counts if self.most > 1 else self.counts.removesuffix("s")
        return f"{self.most} {counts} in {time_text(self.within)}"


def parse_cap(text: str) -> Cap:
    """Return `3 attempts in 24 hours` as a cap. Raises ValueError with a sentence for a person."""
    match = _CAP.fullmatch(" ".join(text.split()))
    if not match:
        raise ValueError(f"a cap looks like 3 attempts in 24 hours or 1 conversation in 7 days, not {text!r}")
    counts: Literal["attempts", "conversations"] = "attempts" if match["counts"] == "attempt" else "conversations"
    return Cap(int(match["most"]), parse_time(match["within"]), counts)


def parse_time(text: str) -> timedelta:
    """Return `7 days` or `forever` as a time. Raises ValueError with a sentence for a person."""
    if text == "forever":
        return FOREVER
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"a time looks like 30 minutes, 24 hours or 7 days, not {text!r}")
    return timedelta(**{f"{match['unit']}s": int(match["count"])})


def time_text(time: timedelta) -> str:
    """Write a time as `parse_time` reads it."""
    if time == FOREVER:
        return "forever"
    for unit in ("days", "hours", "minutes"):
        count, rest = divmod(time, timedelta(**{unit: 1}))
        if count and not rest and (unit != "days" or count > 1):
            return f"{count} {unit if count > 1 else unit.removesuffix('s')}"
    raise ValueError(f"{time} is not a number of minutes")


def validate_cap(text: str) -> None:
    """Refuse what is not a cap."""
    try:
        parse_cap(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error
