"""The worker class of the web process: gunicorn's threads, without the patience that slow clients would use up.

gunicorn gives a connection a thread and lets it wait for the client's next byte for as long as that takes: as many
half-sent requests as there are threads, and nobody else is served. Here

- a connection has no thread before its first bytes are there;
- a request has PATIENCE_SECONDS, and a second more for each BYTES_PER_SECOND that have come: headers and body together;
- at most half of the threads wait for clients: one more, and the connection that has waited longest is closed. So a
  slow upload has all of its time while nobody else needs the thread;
- a client that does not read the response is given up after SEND_SECONDS without progress;
- where a process has as many connections as it may have, a new one takes the place of the one that has sent nothing for
  longest: gunicorn would accept nobody until that has timed out;
- connections that are closed wait for the client's end outside the threads, and not in the loop that accepts.
"""

import errno
import math
import select
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# How long a closed connection may take to say that it has read everything, in seconds.
LINGER_SECONDS = 2.0
# What is read and dropped meanwhile, in bytes. A client that is still sending when the connection is closed may not see
# the response; but nobody may send for ever what nobody reads.
DROPPED_BYTES = 1024 * 1024


class Socket:
    """A client's socket, which waits for bytes only so long. All else is the socket's own."""

    def __init__(self, client: socket.socket, worker: "Worker") -> None:
        self._socket = client
        self._worker = worker
        self._began = time.monotonic()
        self._received = 0
        self._most = math.inf
        self._is_cut = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def begin_request(self) -> None:
        self._began, self._received, self._most = time.monotonic(), 0, math.inf

    def end_request(self) -> None:
        """Let little more be read: the response was sent."""
        self._most = self._received + DROPPED_BYTES

    def cut(self) -> None:
        """End the wait for the client's bytes, from another thread."""
        self._is_cut = True
        with suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RD)

    def recv(self, size: int) -> bytes:
        if self._received >= self._most:
            raise ConnectionResetError(errno.ECONNRESET, "the client sends on after the response")
        given = self._socket.gettimeout()
        if given != 0 and not self._is_readable(0):
            patience = self._worker.PATIENCE_SECONDS + self._received / self._worker.BYTES_PER_SECOND
            left = max(self._began + patience - time.monotonic(), 0)
            with self._worker.waits(self):
                is_readable = self._is_readable(left if given is None else min(left, given))
            if not is_readable or self._is_cut:
                raise ConnectionResetError(errno.ECONNRESET, "the client sends too slowly")
        data = self._socket.recv(size)
        self._received += len(data)
        return data

    def send(self, data: bytes) -> int:
        return int(self._patiently(self._socket.send, data))

    def sendall(self, data: bytes) -> None:
        self._patiently(self._socket.sendall, data)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        return int(self._patiently(self._socket.sendfile, file, offset, count))

    def _patiently(self, send: Callable[..., Any], *arguments: Any) -> Any:
        self._socket.settimeout(self._worker.SEND_SECONDS)
        try:
            return send(*arguments)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly") from error
        finally:
            self._socket.settimeout(None)

    def _is_readable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class _Connection(TConn):  # type: ignore[misc]
    def __init__(self, worker: "Worker", client: socket.socket, address: Any, server: Any) -> None:
        super().__init__(worker.cfg, Socket(client, worker), address, server)
        self._worker = worker

    def close(self, graceful: bool = False) -> None:
        if graceful:
            self._worker.linger(self.sock)
        else:
            super().close()


class Worker(ThreadWorker):  # type: ignore[misc]
    PATIENCE_SECONDS = 15.0
    BYTES_PER_SECOND = 4_000
    SEND_SECONDS = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Socket, float] = {}  # since when, the longest first
        self._changing = threading.Lock()
        self._lingering: deque[tuple[float, Socket]] = deque()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection, and leave it to the poller until its first bytes are there."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}:
                raise
            return
        connection = _Connection(self, client, address, listener.getsockname())
        connection.set_timeout()
        self.nr_conns += 1
        self.pending_conns.append(connection)
        readable = partial(self.on_pending_socket_readable, connection)
        self.poller.register(connection.sock, selectors.EVENT_READ, readable)
        self._make_room()

    def _make_room(self) -> None:
        """Close an idle connection where no other could be accepted: one that sent nothing, or has its response."""
        for idle in (self.pending_conns, self.keepalived_conns):
            while self.nr_conns >= self.worker_connections and idle:
                longest = idle.popleft()
                self.poller.unregister(longest.sock)
                self.nr_conns -= 1
                longest.close()

    def handle(self, conn: Any) -> Any:
        conn.sock.begin_request()
        return super().handle(conn)

    @contextmanager
    def waits(self, client: Socket) -> Iterator[None]:
        """Count a thread that waits for a client's bytes; the one that has waited longest gives way to it."""
        with self._changing:
            self._waiting[client] = time.monotonic()
            if len(self._waiting) > max(self.cfg.threads // 2, 1):
                longest = next(iter(self._waiting))
                del self._waiting[longest]
                longest.cut()
        try:
            yield
        finally:
            with self._changing:
                self._waiting.pop(client, None)

    def linger(self, client: Socket) -> None:
        """Tell the client that nothing more comes, and close when it has closed: else what it has not read is lost."""
        client.end_request()
        try:
            client.setblocking(False)
            client.shutdown(socket.SHUT_WR)
            self.poller.register(client, selectors.EVENT_READ, self._drain)
        except (OSError, ValueError, KeyError):
            client.close()
        else:
            self._lingering.append((time.monotonic() + LINGER_SECONDS, client))

    def _drain(self, client: Socket) -> None:
        try:
            if client.recv(65_536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close_lingering(client)

    def _close_lingering(self, client: Socket) -> None:
        if client.fileno() >= 0:
            self.poller.unregister(client)
            client.close()

    def murder_pending(self) -> None:
        super().murder_pending()
        while self._lingering and self._lingering[0][0] <= time.monotonic():
            self._close_lingering(self._lingering.popleft()[1])
