"""Is everything there that a campaign needs? In words for an operator, who may read names of trunks and machines.

A worker that is connected but takes no tasks any more is a known state of Celery over Redis. So progress is what
counts: `core.liveness` records when beat last sent a message, and when a worker of each queue last took one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import structlog
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from accounts.installation import Installation
from campaigns_project import database_session, redis_memory, server_checks
from campaigns_project.server_checks import Problem
from core import clock_offsets, clocks, liveness
from dialer import holds, redis_owner, restores
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.models import CallAttempt, CallerIdHealth, TrunkHealth

log = structlog.get_logger(__name__)

OK = "ok"
# Caller IDs that are named as resting.
MOST_WARNINGS = 20

Check = Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """What does not stop everything.

    kind: `held`, `pooler`, `database`, `migrations`, `redis`, `redis-memory`, `clocks`, `trunks` or `caller-ids`; names
        nothing.
    """

    kind: str
    text: str


def parts() -> dict[str, str]:
    """Return "ok" or the problem for each part that a campaign needs."""
    processes = {name: _dial if name == "dial" else partial(_progress, name) for name in settings.MAX_SILENCE_SECONDS}
    checks: dict[str, Check] = {
        "database": _database,
        "migrations": _migrations,
        "secret-key": _secret_key,
        "redis": _redis,
        **processes,
    }
    return {name: _run(name, check) for name, check in checks.items()}


def warnings() -> list[Finding]:
    """Return what stops not everything. That a server is away is the result of its check, not a warning."""
    found = []
    try:
        if held := holds.current():
            found.append(Finding("held", told_hold(held)))
        if lost := database_session.lost_settings():
            found.append(Finding("pooler", lost))
        if evicts := redis_memory.eviction():
            found.append(Finding("redis-memory", evicts))
        found += [Finding(problem.kind, problem.text) for problem in _lesser_problems()]
        found += [Finding("clocks", text) for text in _wrong_clocks()]
        found += [Finding("trunks", text) for text in _resting_trunks()]
        found += [Finding("caller-ids", text) for text in _resting_caller_ids()]
    except (RedisError, DatabaseError):
        log.debug("warnings_not_read")
    return found


def told_hold(held: Installation) -> str:
    """Return that the server is held, why, and what to do."""
    since = f"{held.held_since:%Y-%m-%d %H:%M} UTC"
    ends = "manage.py release"
    if held.held_because != holds.Because.OPERATOR:
        ends = "manage.py reconcile, then manage.py release"
    return f"the server is held since {since} and dials nothing: {held.held_why}. To end it: {ends}"


def problems() -> list[str]:
    """Return all that is wrong with the server, a sentence for each."""
    return [f"{name}: {told}" for name, told in parts().items() if told != OK] + [found.text for found in warnings()]


def _run(name: str, check: Check) -> str:
    """Return "ok" or what is wrong, without the text of an exception, which may hold an address."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 -- any failure is a result here
        log.warning("readiness_check_failed", check=name, error=str(error))
        return server_checks.told_of(error)


def _wrong_clocks() -> Iterator[str]:
    """Yield the clocks that an operator has to set right."""
    for place, ahead in sorted(clock_offsets.read().items()):
        if abs(ahead) >= clocks.ALARMING:
            differs = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'}"
            yield f"the clock of {place} is {differs} PostgreSQL's: set both right, for instance by NTP"


def _resting_trunks() -> Iterator[str]:
    for name in TrunkHealth.objects.filter(down_since__isnull=False).values_list("trunk__name", flat=True):
        yield f"the trunk {name} takes no calls"


def _resting_caller_ids() -> Iterator[str]:
    down = CallerIdHealth.objects.filter(down_since__isnull=False)
    for health in down.select_related("caller_id__trunk").defer("caller_id__trunk__api_token")[:MOST_WARNINGS]:
        trunk, number = health.caller_id.trunk.name, health.caller_id.number
        if health.is_failing:
            yield f"calls from {number} over the trunk {trunk} fail at once"
        else:
            yield f"the trunk {trunk} takes no calls from {number}"


def _database() -> str:
    return server_checks.takes_no_writes() or _stopping(server_checks.database())


def _migrations() -> str:
    return _stopping(server_checks.migrations())


def _secret_key() -> str:
    return _stopping(server_checks.secret_key())


def _redis() -> str:
    if refusal := redis_memory.refusal():
        return refusal
    try:
        redis_owner.take(restores.owner())
    except redis_owner.OwnedByAnother as error:
        return str(error)
    return _stopping(server_checks.redis())


def _stopping(problems: list[Problem]) -> str:
    return "; ".join(problem.text for problem in problems if problem.stops_start) or OK


def _lesser_problems() -> list[Problem]:
    found = [*server_checks.database(), *server_checks.migrations(), *server_checks.redis()]
    return [problem for problem in found if not problem.stops_start]


def _dial() -> str:
    """Check that claimed calls are placed, too: that takes milliseconds, so one that waits has no dialer."""
    claimed = CallAttempt.objects.filter(status=CallAttempt.Status.CLAIMED)
    oldest = claimed.order_by("claimed_at").values_list("claimed_at", flat=True).first()
    if oldest and (waits := clocks.now() - oldest) >= CLAIM_LIFETIME:
        return f"a call has waited for a dialer for {waits.total_seconds():.0f} s"
    return _progress("dial")


def _progress(process: str) -> str:
    return liveness.problem(process) or OK
