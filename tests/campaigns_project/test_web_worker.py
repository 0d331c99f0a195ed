"""Slow clients keep no thread of the web process from the others."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

THREADS = 4
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@contextmanager
def served(patience: float, *further: str, keep_alive: int = 5) -> Iterator[int]:
    """Start gunicorn with the worker class, and return its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.set_inheritable(True)
        here = "tests.campaigns_project.hasty_app"
        options = ["--threads", str(THREADS), "--keep-alive", str(keep_alive), "--log-level", "error", *further]
        command = [sys.executable, "-m", "gunicorn", f"{here}:application", "--worker-class", f"{here}.Hasty"]
        server = subprocess.Popen(
            [*command, "--bind", f"fd://{listener.fileno()}", "--no-control-socket", *options],
            pass_fds=[listener.fileno()],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PATIENCE_SECONDS": str(patience)},
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.terminate()
            server.wait(60)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that waits for a minute: nobody is cut for being slow, only for standing in the way."""
    with served(60) as port:
        yield port


@pytest.fixture(scope="module")
def hasty_port() -> Iterator[int]:
    with served(0.2) as port:
        yield port


@pytest.fixture
def connected() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client(connected: ExitStack, port: int, sent: bytes = b"") -> socket.socket:
    made = connected.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
    made.sendall(sent)
    return made


def response(of: socket.socket) -> bytes:
    """Return all that comes until the server closes; b"" where it has cut the connection."""
    received = b""
    try:
        while piece := of.recv(65_536):
            received += piece
    except ConnectionResetError:
        return b""
    return received


def is_served(connected: ExitStack, port: int) -> bool:
    return response(client(connected, port, GET)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("half", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", POST, POST + b"x" * 99], ids=range(5))
def test_half_sent_requests_block_nobody(connected, port, half):
    for _ in range(6 * THREADS):
        client(connected, port, half)
    for _ in range(3):
        assert is_served(connected, port)


def test_clients_that_do_not_close_block_nobody(connected, port):
    """gunicorn itself waits two seconds for each of them in the loop that accepts: longer than a client here waits."""
    for _ in range(40):
        client(connected, port, GET)
    assert is_served(connected, port)


def test_a_slow_body_is_taken_while_nobody_needs_the_thread(connected, port):
    slow = client(connected, port, POST)
    for _ in range(100):
        slow.sendall(b"x")
        assert is_served(connected, port)
    slow.shutdown(socket.SHUT_WR)
    assert b"\r\n100\r\n" in response(slow)


def test_the_client_that_waits_longest_gives_way(connected, port):
    waiting = [client(connected, port, POST) for _ in range(THREADS // 2)]
    for _ in range(20):
        assert is_served(connected, port)  # so those before are waiting by now
    latest = client(connected, port, POST)
    closed, _, _ = select.select(waiting, [], [], 60)
    assert [response(one) for one in closed] == [b""]
    for other in {*waiting, latest} - {*closed}:
        other.sendall(b"x" * 100)
        other.shutdown(socket.SHUT_WR)
        assert b"\r\n100\r\n" in response(other)


def test_a_large_body_that_nobody_reads_is_not_taken(connected, port):
    large = client(connected, port, b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000\r\n\r\n")
    sent, piece = 0, b"x" * 1_000_000
    with suppress(OSError):
        while sent < 300_000_000:
            large.sendall(piece)
            sent += len(piece)
    assert sent < 100_000_000, "the rest of it stayed in the sockets' buffers"


def test_what_is_left_of_a_small_one_is_dropped(connected, port):
    small = client(connected, port, b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
    small.sendall(b"x" * 10_000 + GET)
    assert response(small).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("half", [b"G", POST])
def test_a_request_that_does_not_come_is_cut(connected, hasty_port, half):
    assert response(client(connected, hasty_port, half)) == b""


def test_a_response_that_is_not_read_is_given_up(connected, hasty_port):
    readers = [client(connected, hasty_port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(THREADS)]
    # A request of ours that a busy machine sends late is cut, too.
    assert any(is_served(connected, hasty_port) for _ in range(20))
    assert len(response(readers[0])) < 64_000_000


def test_a_connection_is_used_again(connected, port):
    one = client(connected, port)
    for _ in range(3):
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += one.recv(65_536)


def test_where_there_is_no_room_a_new_connection_takes_the_place_of_the_longest_idle_one(connected):
    """gunicorn would accept nobody for a minute, when the first of them times out."""
    with served(60, "--worker-connections", "10", "--graceful-timeout", "1", keep_alive=60) as port:
        idle = [client(connected, port) for _ in range(30)]
        assert is_served(connected, port)
        assert response(idle[0]) == b"", "it was closed"
        idle[-1].sendall(GET)
        assert response(idle[-1]).startswith(b"HTTP/1.1 200")
