"""`/healthz` and `/readyz` of a SIP gateway, for a supervisor that asks over HTTP, such as Kubernetes.

Any host may be named, and nothing is told but the state.
"""

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Seconds for which a connection may send nothing.
PATIENCE = 5.0


class Probes:
    """Responds in threads of its own.

    Args:
        address: host and port to listen at.
        is_up: asked for /healthz.
        is_ready: asked for /readyz.
    """

    def __init__(self, address: tuple[str, int], is_up: Callable[[], bool], is_ready: Callable[[], bool]) -> None:
        asked = {"/healthz": ("up", is_up), "/readyz": ("ready", is_ready)}
        self._server = _Server(address, _handler(asked))
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="sip-probes", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


def _handler(asked: dict[str, tuple[str, Callable[[], bool]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            word, ask = asked.get(self.path.partition("?")[0], ("", bool))
            if not word:
                self.send_error(404)
                return
            is_well = ask()
            body = json.dumps({"status": word if is_well else f"not {word}"}).encode()
            self.send_response(200 if is_well else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 -- http.server looks for methods of these names

        def log_message(self, *_: Any) -> None:
            """Log nothing: a probe comes every few seconds."""

    return Handler
