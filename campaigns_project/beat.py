"""Beat's scheduler, made to survive a clock that is set back, and not to fill the queue of a worker that is away."""

import time
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django_celery_beat.schedulers import DatabaseScheduler

from campaigns_project import startup
from core import broker_queues, liveness

log = structlog.get_logger(__name__)

# Seconds by which the clock may differ before the intervals are restarted. Time synchronisation moves clocks by less
# than this all the time, and each restart delays every tick by up to its interval.
TOLERATED_SECONDS = 2.0


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """django-celery-beat's scheduler, which restarts its intervals when the clock was set, and spares full queues.

    That scheduler counts from the time of the last run: with a clock that is set back by an hour, it would send nothing
    for an hour. This one compares the clock with the monotonic one, which nobody can set.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        startup.require_servers()  # Celery tells of beat's start only when the table was read
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

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send the tick, unless it would only pile up."""
        if _piles_up(entry.options.get("queue") or broker_queues.queue_of(entry.task)):
            liveness.note(liveness.BEAT)  # it ticks, and the broker is there
        else:
            super().apply_entry(entry, producer)

    def _restart_intervals(self, last_run_after: datetime | None = None) -> None:
        """Count the intervals from now on: of the tasks that last ran after that moment, or of all."""
        for entry in self.schedule.values():
            if last_run_after is None or entry.last_run_at > last_run_after:
                entry.last_run_at = entry.model.last_run_at = self.app.now()


def _piles_up(queue: str) -> bool:
    """Return whether messages wait in the queue, and no worker has taken one for long.

    Redis keeps messages that have expired. A worker that comes back finds those that wait, and each tick after it.
    """
    try:
        return bool(queue in settings.MAX_SILENCE_SECONDS and liveness.problem(queue) and broker_queues.waiting(queue))
    except Exception as error:  # noqa: BLE001 -- whatever the broker's client raises; then the tick is sent as ever
        log.warning("queue_not_counted", queue=queue, error=str(error))
        return False


def _ahead() -> float:
    """Return how far the time of day is ahead of the monotonic clock, in seconds."""
    return time.time() - time.monotonic()
