"""The server as its administrators see it: processes, queues, trunks, periodic tasks, and how full everything is.

What can't be read says so, and keeps nothing else from being shown.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.template.defaultfilters import filesizeformat
from django_celery_beat.models import PeriodicTask
from redis.exceptions import RedisError

from accounts.models import Trunk
from core import broker_queues, clock_offsets, liveness
from core.redis_client import redis_client
from dialer import gate

MOST_TRUNKS = 200
NOT_READ = "can't be read"


class Readiness(Protocol):
    """What says whether the server is well: `campaigns_project.readiness`."""

    def parts(self) -> dict[str, str]: ...

    def problems(self) -> list[str]: ...


@dataclass(frozen=True)
class Process:
    """A process, or the workers of a queue.

    Attributes:
        silent_for: seconds since it made progress; None where none is noted.
        may_be_silent_for: seconds.
        workers: that are at work, by machine and process.
        waiting: messages in its queue; None where it has none, or it can't be read.
    """

    name: str
    silent_for: float | None
    may_be_silent_for: int
    workers: list[str]
    waiting: int | None

    @property
    def is_well(self) -> bool:
        return self.silent_for is not None and self.silent_for < self.may_be_silent_for


@dataclass(frozen=True)
class TrunkState:
    """A trunk. problem: why it takes no calls; "" where it takes them, as far as is known."""

    trunk: Trunk
    problem: str
    down_since: datetime | None


def processes() -> list[Process]:
    """Return beat, the events process and the workers of every queue; nothing while Redis is away."""
    try:
        return [_process(name, seconds) for name, seconds in settings.MAX_SILENCE_SECONDS.items()]
    except RedisError:
        return []


def _process(name: str, may_be_silent_for: int) -> Process:
    has_queue = name not in {liveness.BEAT, liveness.EVENTS}
    workers = sorted(liveness.workers(name)) if has_queue else []
    return Process(
        name, liveness.seconds_since(name), may_be_silent_for, workers, _waiting(name) if has_queue else None
    )


def _waiting(queue: str) -> int | None:
    try:
        return broker_queues.waiting(queue)
    except Exception:  # noqa: BLE001 -- each broker's client has errors of its own
        return None


def trunks() -> list[TrunkState]:
    found = Trunk.objects.select_related("health").defer("api_token", "signing_key").order_by("name")[:MOST_TRUNKS]
    return [_trunk(trunk) for trunk in found]


def _trunk(trunk: Trunk) -> TrunkState:
    health = gate.health_of(trunk)
    if health is None or health.down_since is None:
        return TrunkState(trunk, "", None)
    return TrunkState(trunk, health.last_error or "it takes no calls", health.down_since)


def periodic_tasks() -> QuerySet[PeriodicTask]:
    rows: QuerySet[PeriodicTask] = (
        PeriodicTask.objects.exclude(task="celery.backend_cleanup")
        .select_related("interval", "crontab", "solar", "clocked")
        .order_by("name")
    )
    return rows


def figures() -> list[tuple[str, str]]:
    """Return what is measured of PostgreSQL, Redis, the clocks and the disk, each with its name."""
    readings: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
        "PostgreSQL": _postgresql,
        "Redis": _redis,
        "clocks": _clocks,
        "disk": _disk,
    }
    found = []
    for name, read in readings.items():
        try:
            found += list(read())
        except (DatabaseError, RedisError, OSError):
            found.append((name, NOT_READ))
    return found


def _postgresql() -> Iterator[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), pg_database_size(current_database()),"
            " (SELECT count(*) FROM pg_stat_activity), current_setting('max_connections')"
        )
        version, size, connections, most = cursor.fetchone()
    yield "PostgreSQL", f"{version}, {filesizeformat(size)}"
    yield "connections to PostgreSQL", f"{connections} of {most}"


def _redis() -> Iterator[tuple[str, str]]:
    memory = redis_client().info("memory")
    most = memory.get("maxmemory")
    limit = f"of {filesizeformat(most)}" if most else "without a limit"
    yield "memory of Redis", f"{filesizeformat(memory['used_memory'])} {limit}"
    yield "when Redis is full", str(memory.get("maxmemory_policy", "noeviction"))


def _clocks() -> Iterator[tuple[str, str]]:
    offsets = clock_offsets.read()
    if offsets:
        place, ahead = max(offsets.items(), key=lambda one: abs(one[1]))
        yield "largest difference to PostgreSQL's clock", f"{ahead:+z.1f} s, {place}"


def _disk() -> Iterator[tuple[str, str]]:
    usage = shutil.disk_usage(settings.DATA_DIR)
    yield "free where this web process keeps its data", f"{filesizeformat(usage.free)} of {filesizeformat(usage.total)}"
