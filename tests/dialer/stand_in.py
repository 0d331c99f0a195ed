"""Stand-ins for carriers' APIs over real HTTP, on a free port of this machine."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import parse_qs


class StandIn(ABC):
    """What responds. headers: those of the last request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}

    @abstractmethod
    def respond(self, method: str, path: str, form: dict[str, list[str]]) -> tuple[int, object]:
        """Return status and JSON document of the response. A JSON object that was sent is a form as well."""


Made = TypeVar("Made", bound=StandIn)


@contextmanager
def served(make: Callable[[str], Made]) -> Iterator[Made]:
    """Make a stand-in with its address, and serve it for the length of the `with` block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            is_json = self.headers.get("Content-Type") == "application/json"
            form = {name: [value] for name, value in json.loads(body).items()} if is_json else parse_qs(body)
            stand_in.headers = dict(self.headers)
            status, document = stand_in.respond(self.command, self.path, form)
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 -- the name that http.server calls

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in = make(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
