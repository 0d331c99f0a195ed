"""Where the admin and the metrics are served, and what a page of the admin may load."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

# Nothing but this server's own files: no script or style within a page, so that a text of a client that slips through
# the escaping runs nothing. Pictures may be in the page: Django's icons, and the QR code of a second factor.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'"
    "; media-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class AdminGuard:
    """Serve /admin/ and /metrics at ADMIN_ADDRESS alone, where it is set, and send a policy with pages of the admin."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        is_admin = path == "/admin" or path.startswith("/admin/")
        if not is_admin and path != "/metrics":
            return self._next(request)
        if settings.ADMIN_ADDRESS and _port_of(request) != settings.ADMIN_ADDRESS[1]:
            raise Http404
        response = self._next(request)
        if is_admin:
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


def _port_of(request: HttpRequest) -> int | None:
    """Return the port that the request came to, whatever its headers say; None over a Unix socket."""
    socket: Any = request.META.get("gunicorn.socket")
    if socket is None:
        return int(request.META.get("SERVER_PORT") or 0)
    name = socket.getsockname()
    return int(name[1]) if isinstance(name, tuple) else None
