"""Beat's scheduler, made to survive a clock that is set back."""

import time
from datetime import datetime
from typing import Any

import structlog
from django_celery_beat.schedulers import DatabaseScheduler

log = structlog.get_logger(__name__)

# Seconds by which the clock may differ before the intervals are restarted. Time synchronisation moves clocks by less
# than this all the time, and each restart delays every tick by up to its interval.
TOLERATED_SECONDS = 2.0


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """django-celery-beat's scheduler, which restarts its intervals when the clock was set.

    That scheduler counts from the time of the last run: with a clock that is set back by an hour, it would send nothing
    for an hour. This one compares the clock with the monotonic one, which nobody can set.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ahead = _ahead()
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        # The clock may have been set back while no beat was running.
        self._restart_intervals(last_run_after=self.app.now())

    def tick(self, *args: Any, **kwargs: Any) -> float:
        moved = _ahead() - self._ahead
        if abs(moved) > TOLERATED_SECONDS:
            log.warning("clock_was_set", seconds=round(moved, 1))
            self._ahead += moved
            self._restart_intervals()
            self._heap = None  # the next tick fills it
        return float(super().tick(*args, **kwargs))

    def _restart_intervals(self, last_run_after: datetime | None = None) -> None:
        """Count the intervals from now on: of the tasks that last ran after that moment, or of all."""
        for entry in self.schedule.values():
            if last_run_after is None or entry.last_run_at > last_run_after:
                entry.last_run_at = entry.model.last_run_at = self.app.now()


def _ahead() -> float:
    """Return how far the time of day is ahead of the monotonic clock, in seconds."""
    return time.time() - time.monotonic()
