"""Ports of this machine: which are free, and which something listens on."""

import random
import socket
import sys
from collections import deque
from contextlib import suppress
from itertools import islice

# Below those that the system gives to outgoing connections: it is seconds until our processes listen on them.
PORTS = range(20_000, 32_000)


_promised: deque[socket.socket] = deque()
MOST_PROMISED = 200
"""The latest ports that this process has returned; earlier ones are in use by now, or not needed any more."""


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free at the moment, for TCP and for UDP.

    They are chosen by chance, as several systems may start at once, and returned to no other process of this machine
    while this one lives: seconds may pass until something listens on them.
    """
    candidates = filter(_promise, random.sample(PORTS, len(PORTS)))
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    free = (port for port in candidates if all(is_free("127.0.0.1", port, kind) for kind in kinds))
    return list(islice(free, count))


def _promise(port: int) -> bool:
    """Note for all processes of this machine that this one returns the port. False where that was done already."""
    if sys.platform != "linux":
        return True
    note = socket.socket(socket.AF_UNIX)
    try:
        note.bind(f"\0trunkline-port-{port}")  # a name without a file, which goes with the process
    except OSError:
        note.close()
        return False
    _promised.append(note)
    if len(_promised) > MOST_PROMISED:
        _promised.popleft().close()
    return True


def is_free(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection lingers and uses nothing
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def accepts_connections(host: str, port: int) -> bool:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked for, not bound
    with suppress(OSError), socket.create_connection((anywhere.get(host, host), port), timeout=1):
        return True
    return False
