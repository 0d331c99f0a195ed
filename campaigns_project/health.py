"""Whether this server is up and at work: `/healthz` for who restarts processes, `/readyz` for who sends traffic.

A worker that is connected but no longer consumes is a known state of Celery over Redis, so progress is what counts:
`liveness` notes when beat last sent a tick and when a worker last ran one.
"""

import time
from collections.abc import Callable

import structlog
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from campaigns_project import liveness
from dialer.models import CallAttempt
from dialer.redis_client import redis_client

log = structlog.get_logger(__name__)

# Beat ticks once a second: ten missed ticks are no accident.
LATELY_SECONDS = 10


def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "up"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when everything that a campaign needs is there, else 503; says what of each."""
    checks = {
        "database": _check(_database),
        "redis": _check(_redis),
        "beat": _check(lambda: _lately("beat")),
        "worker": _check(lambda: _lately("worker")),
        "dialer": _check(_dialer),
    }
    ready = all(answer == "ok" for answer in checks.values())
    return JsonResponse({"status": "ready" if ready else "not ready", **checks}, status=200 if ready else 503)


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


def _dialer() -> str:
    """Attempts are placed within milliseconds of their claim: one that waits longer says that no dialer is at work."""
    claimed = CallAttempt.objects.filter(status=CallAttempt.Status.CLAIMED)
    oldest = claimed.order_by("claimed_at").values_list("claimed_at", flat=True).first()
    waits = (timezone.now() - oldest).total_seconds() if oldest else 0
    return "ok" if waits < LATELY_SECONDS else f"a call has waited for a dialer for {waits:.0f} s"


def _lately(who: str) -> str:
    last = liveness.last_progress(who)
    if last is None:
        return "no progress yet"
    ago = time.time() - last
    return "ok" if ago < LATELY_SECONDS else f"no progress for {ago:.0f} s"
