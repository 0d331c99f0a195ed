"""When a call really ended, as far as can be told from the carrier's clock and from ours: pure functions.

A carrier's moments are whole seconds of another clock, which may be hours off or in another zone. They are believed
only where they agree with what is known here: the carrier was asked at `placing_at`, so a call that began before that
began by a wrong clock; and the news came at `received_at`, so the call was over by then. A retry counts from the end,
so where there is doubt the later moment counts: an early ring is worse than a late one. What stays hidden is a clock
that is behind by no more than the carrier takes to begin a call.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialer.carriers.base import Event

# The carrier's clock may be so far behind ours. Its moments are cut to whole seconds, which makes up half of it.
TOLERANCE = timedelta(seconds=2)
# An end that is cut to whole seconds may be so much later.
ROUNDING = timedelta(seconds=1)


@dataclass(frozen=True)
class CallEnd:
    """The end of a call.

    Attributes:
        at: the end as it is shown.
        latest: the call was over by then, whatever was rounded. Intervals count from it.
    """

    at: datetime
    latest: datetime


def end_of(event: Event, placing_at: datetime, now: datetime) -> CallEnd:
    """Return when the call ended that this event, or look-up, tells the end of."""
    received = max(min(event.received_at or now, now), placing_at)
    at = _by_the_carriers_clock(event, placing_at, received)
    if at is None:
        return CallEnd(received, received)
    at = min(max(at, placing_at), received)
    return CallEnd(at, min(at + ROUNDING, received))


def answer_of(event: Event, end: CallEnd, placing_at: datetime) -> datetime | None:
    """Return when it was answered: as long before its end as by the carrier's clock."""
    if not event.answered_at:
        return None
    answered_at = event.answered_at
    if event.ended_at:
        answered_at = end.at - min(max(event.ended_at - event.answered_at, timedelta()), end.at - placing_at)
    return min(max(answered_at, placing_at), end.at)


def _by_the_carriers_clock(event: Event, placing_at: datetime, received: datetime) -> datetime | None:
    """Return the end by the carrier's clock, set right by the part of a second that it is behind; None if not believed.

    Where the carrier does not say when the call began, nothing shows how far its clock is behind.
    """
    if not event.ended_at or not event.started_at or event.ended_at < event.started_at:
        return None
    behind = max(placing_at - event.started_at, timedelta())
    return event.ended_at + behind if behind <= TOLERANCE else None
