"""The server of carriers' events in a thread of this process, over the tests' database, and requests to it."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

from django.db import connection

from dialer import links
from dialer.event_batches import EventBatches
from dialer.events_server import EventsServer

JSON = "application/json"
PATIENCE = 60.0


class Served:
    """A server that listens on a port of this machine."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = self._run(self._start())

    async def _start(self) -> int:
        self.events = EventBatches()
        self._storing = asyncio.create_task(self.events.run())
        self._server = EventsServer(self.events)
        return await self._server.start("127.0.0.1", 0)

    def stop(self) -> None:
        self._run(self._stop())
        self.events.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _stop(self) -> None:
        await self._server.stop()
        self._storing.cancel()
        await asyncio.wait([self._storing])

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def post(self, path: str, body: Any, content_type: str = JSON, method: str = "POST", **headers: str) -> "Response":
        return Response.of(self.port, path, body, content_type, method, **headers)

    def open(self, sent: bytes) -> socket.socket:
        """Return a connection on which these bytes have been sent."""
        return open_wire(self.port, sent)


class Response:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()

    @classmethod
    def of(
        cls, port: int, path: str, body: Any, content_type: str = JSON, method: str = "POST", **headers: str
    ) -> "Response":
        """Send a request and read the response. A body that is an iterator goes in chunks."""
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as wire:
            chunked = body is not None and not isinstance(body, bytes)
            wire.request(method, path, body, {"Content-Type": content_type} | headers, encode_chunked=chunked)
            return cls(wire.getresponse())

    @classmethod
    def read_from(cls, wire: socket.socket) -> "Response":
        response = http.client.HTTPResponse(wire)
        response.begin()
        return cls(response)


def open_wire(port: int, sent: bytes) -> socket.socket:
    """Return a connection on which these bytes have been sent."""
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    made.sendall(sent)
    return made


def path_of(attempt_id: UUID, carrier: str = "exotel") -> str:
    """Return path and query of the address for the attempt's events."""
    return "/" + links.events_url(carrier, attempt_id).split("/", 3)[3]


def head(path: str, **headers: object) -> bytes:
    """Return a request's line and headers."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {JSON}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def held_inbox() -> Iterator[Callable[[], None]]:
    """Let no event be stored until the returned function is called, or the block ends."""
    other = connection.copy()
    cursor = other.cursor()
    cursor.execute("BEGIN; LOCK TABLE dialer_carrierevent IN EXCLUSIVE MODE")
    try:
        yield lambda: cursor.execute("COMMIT")
    finally:
        other.close()


def in_threads(count: int, work: Callable[[int], Any]) -> list[threading.Thread]:
    """Start `work(0)`, `work(1)` and so on, each in a thread."""
    threads = [threading.Thread(target=work, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads
