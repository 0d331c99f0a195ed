"""A receiver of webhooks on loopback. It verifies signatures with the library that customers use."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


class Received:
    """One request."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """Return the payload. Raises WebhookVerificationError when it was not signed with this secret."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Respond 200, unless `responses` holds the next response: a status, or a function that responds by itself."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.responses: list[int | Callable[[BaseHTTPRequestHandler], None]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet: in two, the second waits 40 ms for an ACK

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers), body))
                response = receiver.responses.pop(0) if receiver.responses else 200
                if callable(response):
                    response(self)
                    return
                self.send_response(response)
                body = b"" if response in {204, 304} else b"hello"
                self.send_header("Content-Length", str(len(body)))
                if 300 <= response < 400:
                    self.send_header("Location", receiver.url("/elsewhere"))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Write nothing to the output of the tests."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # connections that may come at once

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.received]
