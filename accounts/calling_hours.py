"""The hours in which people may be called: from an opening to a closing time on the clocks of one time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

MIDNIGHT = time(0)


@dataclass(frozen=True)
class CallingHours:
    """The daily window [opens, closes). `closes` at 00:00 is the end of the day: 00:00-00:00 never closes."""

    opens: time
    closes: time
    zone: ZoneInfo

    def is_open(self, at: datetime) -> bool:
        wall = at.astimezone(self.zone).time()
        return self.opens <= wall and (self.closes == MIDNIGHT or wall < self.closes)

    def next_open(self, at: datetime) -> datetime:
        """Return the first moment (UTC) from `at` on at which the window is open: `at` itself where it is open then."""
        if self.is_open(at):
            return at.astimezone(UTC)
        today = at.astimezone(self.zone).date()
        # Two days are enough; more cover zones that once skipped a whole date.
        for days in range(4):
            for opening in self._openings(datetime.combine(today + timedelta(days), self.opens)):
                if opening >= at and self.is_open(opening):
                    return opening
        raise ValueError(f"the calling hours {self} never open")

    def _openings(self, wall: datetime) -> Iterator[datetime]:
        """Yield the moments (UTC) at which clocks in this zone show `wall`.

        There is one on most days, and there are two on the day that clocks go back over it. On the day that clocks jump
        forward over it they never show it, and the end of the jump is yielded instead, found to the minute, as every
        zone jumps by whole minutes.
        """
        earlier, later = sorted(wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if earlier.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall:
            yield from (earlier, later)
            return
        while earlier < later and earlier.astimezone(self.zone).replace(tzinfo=None) < wall:
            earlier += timedelta(minutes=1)
        yield earlier

    def __str__(self) -> str:
        closes = "24:00" if self.closes == MIDNIGHT else self.closes.strftime("%H:%M")
        return f"{self.opens:%H:%M}-{closes} {self.zone.key}"


def parse_calling_hours(text: str) -> tuple[time, time]:
    """Return `10:30-21:00` as two times. `24:00` closes at the end of the day, and is midnight.

    Raises:
        ValueError: with a sentence for a person.
    """
    try:
        opens, closes = (part.strip() for part in text.split("-"))
        window = time.fromisoformat(opens), MIDNIGHT if closes == "24:00" else time.fromisoformat(closes)
    except ValueError as error:
        raise ValueError(f"calling hours look like 10:30-21:00 or 00:00-24:00, not {text!r}") from error
    if window[1] != MIDNIGHT and window[0] >= window[1]:
        raise ValueError(f"calling hours must open before they close, unlike {text!r}")
    return window
