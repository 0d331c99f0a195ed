"""Whether this server is up and at work: `/healthz` for who restarts processes, `/readyz` for who sends traffic.

A worker that is connected but no longer consumes is a known state of Celery over Redis, so progress is what counts:
`liveness` notes when beat last sent a tick and when a worker of each kind last ran a task.
"""

from collections.abc import Callable

import structlog
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from redis.exceptions import RedisError

from campaigns_project import redis_memory
from core import liveness
from core.redis_client import redis_client
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# A claimed call is placed within milliseconds: after so long no dialer is at work.
CLAIM_WAITS_SECONDS = 10


def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "up"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when everything that a campaign needs is there, else 503; says what of each, and warns of what may come."""
    checks = {
        "database": _check(_database),
        "redis": _check(_redis),
        "beat": _check(lambda: _progress(liveness.BEAT)),
        "control": _check(lambda: _progress("control")),
        "dial": _check(_dial),
        "webhooks": _check(lambda: _progress("webhooks")),
        "load": _check(lambda: _progress("load")),
    }
    ready = all(answer == "ok" for answer in checks.values())
    answer = {"status": "ready" if ready else "not ready", **checks, "warnings": _warnings()}
    return JsonResponse(answer, status=200 if ready else 503)


def _warnings() -> list[str]:
    """What stops nothing now. Redis that is away is told as such."""
    try:
        warning = redis_memory.eviction()
    except RedisError:
        return []
    return [warning] if warning else []


def _check(probe: Callable[[], str]) -> str:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the answer
        log.warning("not_ready", error=str(error))
        return type(error).__name__


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _redis() -> str:
    redis_client().ping()
    return "ok"


def _dial() -> str:
    """Its progress, and that calls are placed: one that waits for long says that no dialer takes it."""
    claimed = CallAttempt.objects.filter(status=CallAttempt.Status.CLAIMED)
    oldest = claimed.order_by("claimed_at").values_list("claimed_at", flat=True).first()
    waits = (timezone.now() - oldest).total_seconds() if oldest else 0
    if waits >= CLAIM_WAITS_SECONDS:
        return f"a call has waited for a dialer for {waits:.0f} s"
    return _progress("dial")


def _progress(who: str) -> str:
    return liveness.problem(who) or "ok"
