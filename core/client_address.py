"""The address that a request comes from: the other end of the connection, or what our own proxy reports."""

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the client's address as text; "" over a Unix socket.

    Behind our own proxy only the last entry of X-Forwarded-For is the proxy's. The client may have sent the others.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_TLS_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))
