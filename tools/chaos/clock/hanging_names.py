"""Name servers that never answer, for one Python process: names below HANGING wait for a minute, as real ones do."""

import socket
import time
from typing import Any

HANGING = ".silent.test"
SECONDS = 60.0

_genuine = socket.getaddrinfo


def _look_up(host: Any, *args: Any, **options: Any) -> Any:
    if str(host).endswith(HANGING):
        time.sleep(SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _genuine(host, *args, **options)


def install() -> None:
    socket.getaddrinfo = _look_up
