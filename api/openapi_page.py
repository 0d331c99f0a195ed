"""`/openapi.json`: the document is made once in a process, and a client that has it gets 304.

To make it takes 60 ms of CPU, on an address that needs no credentials.
"""

import hashlib
import json
from functools import cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition, require_safe

from api.http.openapi import document

# Seconds. It changes with an update of the server alone.
MAX_AGE = 3600


@cache
def _rendered() -> tuple[bytes, str]:
    """Return the document, and its tag for If-None-Match."""
    body = json.dumps(document(), ensure_ascii=False, indent=2).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@cache_control(public=True, max_age=MAX_AGE)
@require_safe
@condition(etag_func=lambda _request: _rendered()[1])
def openapi(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(_rendered()[0], content_type="application/vnd.oai.openapi+json")
