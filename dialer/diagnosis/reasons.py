"""A reason of a diagnosis, and the wording that its sentences share."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Reason:
    """One thing that holds a campaign back, or slows it down.

    Attributes:
        code: for programs.
        message: for people.
        until: when that will have passed, where it is known.
        detail: for the operator alone.
    """

    code: str
    message: str
    until: datetime | None = None
    detail: str = ""


REDIS_IS_AWAY = Reason(
    "redis-away", "Redis, which counts the channels, does not respond: nobody is dialled until it does"
)


def calls_text(count: int) -> str:
    return counted(count, "call")


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"


def seconds(span: timedelta) -> str:
    return f"{max(0, round(span.total_seconds())):,} s"
