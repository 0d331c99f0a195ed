"""A customer's receiver of webhooks, on loopback, which can be told to misbehave."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Takes every webhook and records its id. `status` decides the HTTP status, `seconds` the delay of the response.

    paths: of those that it has taken.
    refused: how often each webhook was answered otherwise than with a status of 2xx.
    """

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.paths: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.redirected = 0
        self.seconds = 0.0
        self.status: Callable[[], int] = lambda: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.seconds)
                status = receiver.status()
                if self.path == "/private":
                    receiver.redirected += 1
                elif 200 <= status < 300:
                    receiver.taken.add(self.headers["webhook-id"])
                    receiver.paths.add(self.path)
                else:
                    receiver.refused[self.headers["webhook-id"]] += 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if 300 <= status < 400:
                    self.send_header("Location", receiver.url("/private"))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Print nothing: a line for each webhook would fill the log."""

        self._handler = Handler
        self._server = self._open(0)
        self._port = self._server.server_port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def behave(self) -> None:
        self.seconds, self.status = 0.0, lambda: 200

    def close(self) -> None:
        """Go down: nothing listens at the address."""
        self._server.shutdown()
        self._server.server_close()

    def open(self) -> None:
        """Come back, at the same address."""
        self._server = self._open(self._port)

    def _open(self, port: int) -> ThreadingHTTPServer:
        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Print nothing: a sender gave up waiting."""

        server = Server(("127.0.0.1", port), self._handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server
