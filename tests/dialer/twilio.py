"""A stand-in for Twilio's REST API of calls over real HTTP. It rings nobody and asks nothing back: tests do that."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.utils import timezone

ACCOUNT_SID = "AC0123456789abcdef0123456789abcdef"
TOKEN = "the account's token"


class Twilio:
    """Calls by sid, as the API shows them. reply: what a call is answered with instead, as status and body."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: dict[str, dict[str, Any]] = {}
        self.forms: list[dict[str, list[str]]] = []
        self.paths: list[str] = []
        self.reply: tuple[int, object] | None = None

    def create(self, form: dict[str, list[str]]) -> dict[str, Any]:
        self.forms.append(form)
        sid = f"CA{len(self.calls):032}"
        self.calls[sid] = {
            "sid": sid,
            "status": "queued",
            "to": form["To"][0],
            "from": form["From"][0],
            "date_created": format_datetime(timezone.now()),
            "start_time": None,
            "end_time": None,
            "duration": None,
        }
        return self.calls[sid]

    def respond(self, method: str, path: str, form: dict[str, list[str]]) -> tuple[int, object]:
        self.paths.append(f"{method} {urlsplit(path).path}")
        if self.reply:
            return self.reply
        name = urlsplit(path).path.rpartition("/")[2].removesuffix(".json")
        if name == "Calls":
            if method == "POST":
                return 201, self.create(form)
            asked = parse_qs(urlsplit(path).query)
            listed = [call for call in self.calls.values() if [call["to"]] == asked["To"]]
            return 200, {"calls": listed[::-1], "page_size": 1000}
        if name not in self.calls:
            return 404, {"code": 20404, "message": f"The requested resource {path} was not found", "status": 404}
        if method == "POST":
            self.calls[name]["status"] = form["Status"][0]
        return 200, self.calls[name]


@contextmanager
def twilio() -> Iterator[Twilio]:
    """Run one on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, document = stand_in.respond(self.command, self.path, parse_qs(body))
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 -- the name that http.server calls

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in = Twilio(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
