"""Beat's scheduler, made to outlive a clock that is set back."""

import time
from datetime import datetime
from typing import Any

import structlog
from django_celery_beat.schedulers import DatabaseScheduler

log = structlog.get_logger(__name__)

# Clocks are corrected by less than this all the time, in seconds, and the ticks come so often at the most.
UNNOTICED = 2.0


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """django-celery-beat's, which counts from the moment of the last run: set back by an hour, it would tick no more
    for an hour. This one notices, by the clock that only counts, and starts its intervals anew.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ahead = _ahead()
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        # Set back while no beat was running.
        self._count_anew(after=self.app.now())

    def tick(self, *args: Any, **kwargs: Any) -> float:
        moved = _ahead() - self._ahead
        if abs(moved) > UNNOTICED:
            log.warning("clock_was_set", seconds=round(moved, 1))
            self._ahead += moved
            self._count_anew()
            self._heap = None  # filled anew by the tick
        return float(super().tick(*args, **kwargs))

    def _count_anew(self, after: datetime | None = None) -> None:
        """For the ticks whose last run was after that moment, or for all."""
        for entry in self.schedule.values():
            if after is None or entry.last_run_at > after:
                entry.last_run_at = entry.model.last_run_at = self.app.now()


def _ahead() -> float:
    """How far the time of day is ahead of the clock that only counts, in seconds."""
    return time.time() - time.monotonic()
