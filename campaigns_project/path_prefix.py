"""A server below a path, such as https://example.com/calls: the path is SCRIPT_NAME, or that of PUBLIC_URL.

A proxy may pass the path on or remove it, and probes that ask the process itself know nothing of it: requests with and
without it are taken. It comes from the settings alone, never from a request.
"""

from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def without(path: str, prefix: str) -> str:
    """Return the path below the prefix; the path itself where it is not below it."""
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :] or "/"
    return path


def below(application: Application, prefix: str) -> Application:
    """Return the WSGI application for requests below the prefix, which may be ""."""

    def respond(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["PATH_INFO"] = without(environ.get("PATH_INFO", ""), prefix)
        environ["SCRIPT_NAME"] = prefix
        return application(environ, start_response)

    return respond if prefix else application
