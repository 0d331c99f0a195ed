"""A sandbox in a thread, a client for it, and a receiver of callbacks that also serves flows. Loopback only."""

import asyncio
import base64
import email
import email.policy
import json
import selectors
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox import clock
from sandbox.server import Server

NUMBER = "+919812345678"
CALLER_ID = "08012345678"
BASIC = "Basic " + base64.b64encode(b"key:token").decode()
QUICK_RETRIES = (0.01, 0.01, 0.01, 0.01, 0.01)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
    return result


class _Waits(selectors.DefaultSelector):
    """Adds up the time that a loop has waited, as far as it wanted to: not what the machine took more."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> Any:
        began = time.monotonic()
        ready = super().select(timeout)
        elapsed = time.monotonic() - began
        # Without anything to wait for it is the next timer, which a busy machine would reach late.
        self.waited += elapsed if timeout is None else min(elapsed, timeout) if ready else max(timeout, 0.0)
        return ready


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while the machine does, so that no timer is late by it."""

    def __init__(self) -> None:
        self._waits = _Waits()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.waited

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at once. Timers that come due meanwhile are called."""
        passed = threading.Event()

        def go_on() -> None:
            self._waits.waited += seconds
            self.call_later(0, passed.set)

        self.call_soon_threadsafe(go_on)
        assert passed.wait(60)


@dataclass
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Callback:
    path: str
    content_type: str
    fields: dict[str, str]
    at: float


class Receiver:
    """The server of a client of the carrier: takes callbacks and serves flow documents."""

    def __init__(self) -> None:
        self.callbacks: list[Callback] = []
        self.statuses: list[int] = []  # of the responses to the next callbacks; 204 when used up
        self.flows: dict[str, Any] = {}
        self.fetched: list[str] = []
        self.documents: dict[str, str] = {}  # TwiML, by the last part of its path
        self.asked: list[dict[str, str]] = []  # the forms with which it was asked for
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                receiver.fetched.append(self.path)
                flow = receiver.flows.get(self.path.rpartition("/")[2])
                self.answer(404 if flow is None else 200, json.dumps(flow).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                content_type = self.headers["Content-Type"]
                name = urllib.parse.urlsplit(self.path).path.rpartition("/")[2]
                if name in receiver.documents:
                    receiver.asked.append({**parse_body(content_type, body), "signature": self.signature()})
                    self.answer(200, receiver.documents[name].encode())
                    return
                callback = Callback(self.path, content_type, parse_body(content_type, body), time.monotonic())
                receiver.callbacks.append(callback)
                self.answer(receiver.statuses.pop(0) if receiver.statuses else 204, b"")

            def signature(self) -> str:
                return self.headers.get("X-Twilio-Signature") or ""

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def flow(self, name: str, *steps: Any) -> str:
        """Serve a flow; return its URL."""
        self.flows[name] = {"steps": list(steps)}
        return f"{self.url}/flow/{name}"

    def document(self, name: str, verbs: str) -> str:
        """Serve a TwiML document; return its URL."""
        self.documents[name] = f"<Response>{verbs}</Response>"
        return f"{self.url}/twiml/{name}"

    def events(self) -> list[str]:
        return [callback.fields.get("EventType", callback.fields["Status"]) for callback in self.callbacks]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def parse_body(content_type: str, body: bytes) -> Any:
    if content_type == "application/json":
        return json.loads(body)
    if content_type == "application/x-www-form-urlencoded":
        return dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message: Any = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    return {
        part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True).decode()
        for part in message.iter_parts()
    }


@dataclass
class Client:
    """A client of one sandbox."""

    url: str
    loop: SteadyLoop
    authorization: str = BASIC
    account: str = "acme1"

    def http(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Make one request. Raises OSError when the connection is closed without a response."""
        if self.authorization:
            headers["Authorization"] = self.authorization
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())

    def put_script(self, **script: Any) -> Answer:
        """Script the sandbox, by default a hundred times faster than reality."""
        return self.http("PUT", "/_sandbox/script", json.dumps({"time_scale": 0.01, **script}).encode())

    def connect(self, number: str = NUMBER, path: str = "connect.json", **fields: str | None) -> Answer:
        form = {"From": number, "CallerId": CALLER_ID, "Url": "http://127.0.0.1:1/no-flow", **fields}
        form = {name: value for name, value in form.items() if value is not None}
        return self.http("POST", f"/v1/Accounts/{self.account}/Calls/{path}", urllib.parse.urlencode(form).encode())

    def place(self, number: str = NUMBER, **fields: str) -> Any:
        """Place a call that is accepted; return its sid."""
        answer = self.connect(number, **fields)
        assert answer.status == 200, answer.text
        return answer.json["Call"]["Sid"]

    def call(self, sid: str, query: str = "") -> Any:
        answer = self.http("GET", f"/v1/Accounts/{self.account}/Calls/{sid}.json{query}")
        assert answer.status == 200, answer.text
        return answer.json["Call"]

    def ended(self, sid: str) -> Any:
        """Wait for the end of a call and return it."""
        return until(lambda: (call := self.call(sid))["EndTime"] and call)

    def in_status(self, sid: str, status: str) -> Any:
        return until(lambda: (call := self.call(sid))["Status"] == status and call)

    def dial(self, number: str = NUMBER, **fields: str) -> Any:
        """Place a call, wait for its end and return it."""
        return self.ended(self.place(number, **fields))

    def hang_up(self, sid: str, status: str = "completed") -> Answer:
        return self.http("POST", f"/v1/Accounts/{self.account}/Calls/{sid}", f"Status={status}".encode())

    def find_calls(self, **query: Any) -> Answer:
        return self.http("GET", f"/v1/Accounts/{self.account}/Calls.json?{urllib.parse.urlencode(query)}")

    def ring_log(self, **query: Any) -> Any:
        answer = self.http("GET", f"/_sandbox/rings?{urllib.parse.urlencode(query)}")
        assert answer.status == 200
        return answer.json

    def rings(self, **query: Any) -> Any:
        return self.ring_log(**query)["rings"]

    def legs(self) -> Any:
        return self.http("GET", "/_sandbox/legs").json["legs"]

    def totals(self, **query: Any) -> Any:
        return self.ring_log(totals=1, **query)["totals"]


@pytest.fixture
def sandbox() -> Iterator[Client]:
    """A new sandbox, a hundred times faster than reality, that retries callbacks at once."""
    loop = SteadyLoop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Server(retry_waits=QUICK_RETRIES)
    port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(60)
    client = Client(f"http://127.0.0.1:{port}", loop)
    assert client.put_script().status == 200
    yield client
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


@pytest.fixture
def exact_times(sandbox: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sandbox note times by the clock of its loop, for tests of how long something takes."""
    began = clock.now()
    monkeypatch.setattr(clock, "now", lambda: began + sandbox.loop.time())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until
