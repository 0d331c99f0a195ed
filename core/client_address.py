"""The address that a request comes from: the other end of the connection, or what our own proxy reports."""

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the client's address as text; "" over a Unix socket."""
    return address_of(request.META.get("HTTP_X_FORWARDED_FOR", ""), str(request.META.get("REMOTE_ADDR", "")))


def address_of(forwarded_for: str, peer: str) -> str:
    """Return the client's address by the header X-Forwarded-For and the other end of the connection.

    Behind our own proxy only the last entry is the proxy's. The client may have sent the others.
    """
    forwarded = forwarded_for if settings.BEHIND_TLS_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or peer
