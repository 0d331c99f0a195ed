"""Requests are answered under known host names only.

The sandbox has no access control, so without this a page in a browser on the same machine could use it under a name of
its own that leads to 127.0.0.1 (DNS rebinding).
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def only_for(names: Iterable[str]) -> Middleware:
    """Return a middleware that refuses requests whose Host header, without its port, is none of the names."""
    known = frozenset(name.lower() for name in names)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if host_name(request.headers.get("Host", "")) not in known:
            return web.json_response({"error": "unknown host: start the sandbox with --allow-host"}, status=400)
        return await handler(request)

    return check


def host_name(host: str) -> str:
    """Return the name or address in a Host header, without its port; "" for a malformed one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
