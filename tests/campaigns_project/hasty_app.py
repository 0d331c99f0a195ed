"""A WSGI application and a worker class for `test_web_worker`: two threads, and little patience on request."""

import os
from collections.abc import Iterable
from typing import Any

from campaigns_project.web_worker import Worker


class Hasty(Worker):
    PATIENCE_SECONDS = float(os.environ["PATIENCE_SECONDS"])
    SEND_SECONDS = 0.2


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Respond with the number of bytes of the body.

    /large is far more than a socket holds; of what is sent to /unread nothing is read.
    """
    body = b"" if environ["PATH_INFO"] == "/unread" else environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/large":
        return (b"x" * 1_000_000 for _ in range(64))
    return [str(len(body)).encode()]
