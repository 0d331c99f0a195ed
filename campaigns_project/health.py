"""`/healthz` for a supervisor: is the web process up? `/readyz` for a load balancer: is the whole server at work?

Anybody may ask, so neither names anything: not a trunk, a number or a machine, nor for how long something has been
wrong. An operator reads that from `manage.py ready`, `/metrics` and the admin.
"""

from contextlib import suppress

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from campaigns_project import readiness
from core import clock_offsets


def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "up"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """Respond 200 when everything that a campaign needs is there, else 503; and the kinds of the warnings."""
    parts = {name: "ok" if found == readiness.OK else "not ok" for name, found in readiness.parts().items()}
    with suppress(RedisError, DatabaseError):
        clock_offsets.note("web")
    is_ready = "not ok" not in parts.values()
    kinds = sorted({warning.kind for warning in readiness.warnings()})
    body = {"status": "ready" if is_ready else "not ready", **parts, "warnings": kinds}
    return JsonResponse(body, status=200 if is_ready else 503)
