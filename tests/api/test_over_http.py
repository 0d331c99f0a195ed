"""Behaviour that only a real server shows: bodies of 20 MB, bodies in chunks, connections that break off."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from campaigns.models import Call, Campaign
from contacts.models import CsvPiece
from tests.api.client import NUMBERS, basic, campaign, looks_like_a_sentence
from tools.local.project import PROCFILE

MB = 1_000_000


@pytest.fixture(scope="module")
def port(django_db_setup: None) -> Iterator[int]:
    """Start gunicorn with the Procfile's worker class on the tests' database. Returns its port."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    command = [sys.executable, "-m", "gunicorn", "campaigns_project.wsgi", "--bind", f"127.0.0.1:{port}"]
    options = [
        "--worker-class",
        "campaigns_project.web_worker.Worker",
        "--threads",
        "2",
        "--keep-alive",
        "5",
        "--log-level",
        "error",
    ]
    server = subprocess.Popen(
        [*command, *options, "--limit-request-line", "8190", "--forwarder-headers=", "--no-control-socket"],
        env=os.environ | {"DATABASE_URL": urlunsplit(database)},
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(60)


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        assert server.poll() is None, "gunicorn has ended"
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=60)):
                return
        except OSError:
            assert time.monotonic() < deadline, "gunicorn did not come up"
            time.sleep(0.05)


class Wire:
    """A connection to the server, for one account."""

    def __init__(self, port: int, authorization: str, path: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self.path = path

    def post(self, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        """Send a POST and return its status and envelope.

        Args:
            body: bytes, sent with their length, or an iterator of bytes, sent in chunks.
        """
        chunked = not isinstance(body, bytes)
        self.connection.request("POST", self.path, body, self.headers | headers, encode_chunked=chunked)
        return self.read(self.connection.getresponse())

    @staticmethod
    def read(response: http.client.HTTPResponse) -> tuple[int, dict[str, Any]]:
        """Return the status and the envelope, after asserting that its errors are sentences."""
        envelope = json.loads(response.read())
        assert envelope["http_code"] == response.status
        for item in envelope["response"]:
            assert item["error_data"] is None or looks_like_a_sentence(item["error_data"]["description"])
        return response.status, envelope

    def raw(self, request: bytes) -> tuple[int, dict[str, Any]]:
        """Send these bytes and nothing after them. Returns the status and the envelope."""
        return self.read(self.raw_response(request))

    def raw_response(self, request: bytes) -> http.client.HTTPResponse:
        """Send these bytes and nothing after them. Returns the response, of which the head is read."""
        self.connection.connect()
        self.connection.sock.sendall(request)
        self.connection.sock.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(self.connection.sock)
        response.begin()
        return response


@pytest.fixture
def wire(transactional_db, api, port):
    """Connect to the server. The fixtures' rows are committed, because it has a database connection of its own."""
    made = Wire(port, api.headers["authorization"], "/v2/accounts/acme/campaigns")
    with closing(made.connection):
        yield made


def chunks(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def description(envelope: dict[str, Any]) -> str:
    return str(envelope["response"][0]["error_data"]["description"])


def test_a_body_in_chunks_without_a_length_is_read_like_any_other(wire):
    status, envelope = wire.post(chunks(json.dumps(campaign()).encode(), 40))
    assert status == 200
    assert envelope["response"][0]["data"]["from"] == NUMBERS
    assert Call.objects.count() == len(NUMBERS)


@pytest.mark.parametrize("as_sent", [bytes, lambda body: chunks(body, 64 * 1024)], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("letter", [b" ", b"["])
def test_a_body_of_20_mb_is_refused_and_the_client_reads_why(wire, as_sent, letter):
    status, envelope = wire.post(as_sent(letter * (20 * MB)))
    assert status == 413
    assert "fewer numbers" in description(envelope)
    assert Campaign.objects.count() == 0


def test_five_thousand_numbers_go_through(wire):
    numbers = [f"+9198{n:08d}" for n in range(10_000_000, 10_005_000)]
    status, envelope = wire.post(json.dumps({"campaigns": [campaign(numbers=numbers)]}).encode())
    assert (status, len(envelope["response"][0]["data"]["from"])) == (200, 5000)
    assert Call.objects.count() == 5000


def test_curl_without_a_header_calls_json_a_form(wire):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert wire.post(json.dumps(campaign()).encode(), **form)[0] == 200
    assert wire.post(chunks(json.dumps(campaign()).encode(), 40), **form)[0] == 200
    assert wire.post(b"campaigns=1", **form)[0] == 400


def test_the_connection_can_be_used_again_after_a_refusal(wire):
    assert wire.post(b"{")[0] == 400
    assert wire.post(json.dumps(campaign()).encode())[0] == 200


@pytest.mark.parametrize("body", [b"", b"5\r\nhello", b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}XX0\r\n\r\n"])
def test_malformed_chunks_are_a_bad_request(wire, body):
    head = f"POST {wire.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {wire.headers['Authorization']}\r\n"
    status, envelope = wire.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert status == 400
    assert "send the request again" in description(envelope)
    assert Campaign.objects.count() == 0


@pytest.mark.parametrize("sent", [b"", b'{"campaigns": [{"name"'])
def test_a_body_shorter_than_its_length_is_a_bad_request(wire, sent):
    head = f"POST {wire.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {wire.headers['Authorization']}\r\n"
    status, _ = wire.raw(head.encode() + b"Content-Length: 5000\r\n\r\n" + sent)
    assert status == 400
    assert Campaign.objects.count() == 0


def test_a_request_with_wrong_credentials_is_refused_before_its_large_body_is_read(wire):
    wire.headers["Authorization"] = basic("acme", "wrong")
    wire.connection.request("POST", wire.path, b" " * 50_000, wire.headers)
    response = wire.connection.getresponse()
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert wire.read(response)[0] == 401


@pytest.mark.parametrize(
    "path", ["/v2/accounts/acme/campaigns/%00", "/v2/%ff", "/v2/accounts/acme/campaigns/" + "a" * 7000]
)
def test_odd_addresses_are_not_found(wire, path):
    wire.connection.request("GET", path, headers=wire.headers)
    assert wire.read(wire.connection.getresponse())[0] == 404


def test_a_body_in_chunks_with_an_idempotency_key_is_handled_once(wire):
    body = json.dumps(campaign()).encode()
    first, second = (wire.post(chunks(body, 40), **{"Idempotency-Key": "order-7"}) for _ in range(2))
    assert first == second
    assert Campaign.objects.count() == 1


OUTSIDE_THE_API = ["/admin/login/", "/healthz", "/nowhere", "/v2/x", "/carrier-events/exotel/" + "0" * 32]


def told_of_a_large_body(response: http.client.HTTPResponse) -> bool:
    """Tell whether it says so: to people at the admin by a page, to programs by an envelope."""
    body = response.read().decode()
    return response.status == 413 and ("larger than 2.0 MB" in body or "larger than 2,000,000 bytes" in body)


@pytest.mark.parametrize("path", OUTSIDE_THE_API)
def test_a_length_that_is_too_large_is_refused_before_any_of_it_has_come(wire, path):
    """The body never comes: a server that read it first would wait for it, and say that it ended early."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
    assert told_of_a_large_body(wire.raw_response(head.encode() + b"Content-Length: 300000000\r\n\r\n"))


@pytest.mark.parametrize("path", OUTSIDE_THE_API)
def test_a_form_of_20_mb_in_chunks_is_refused_on_every_address(wire, path):
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    body = TestCsvUpload.form(b" " * 20 * MB)
    wire.connection.request("POST", path, body, headers, encode_chunked=True)
    assert told_of_a_large_body(wire.connection.getresponse())


def test_the_procfile_starts_web_with_the_options_that_are_tried_here():
    web = next(line for line in PROCFILE.read_text().splitlines() if line.startswith("web:"))
    tried = ("--worker-class campaigns_project.web_worker.Worker", "--limit-request-line 8190", "--forwarder-headers=")
    assert [option for option in tried if f" {option} " in web] == list(tried)


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO"])
def test_a_client_has_no_say_in_where_the_server_is_mounted(wire, name):
    wire.connection.request("GET", "/healthz/x", headers=wire.headers | {name: "/healthz"})
    assert wire.connection.getresponse().status == 404


class TestCsvUpload:
    """A file is streamed into the database, never held in memory, with or without a length."""

    @staticmethod
    def form(content: bytes) -> Iterator[bytes]:
        yield b'--cut\r\nContent-Disposition: form-data; name="list_name"\r\n\r\nparents\r\n'
        yield b'--cut\r\nContent-Disposition: form-data; name="file_name"; filename="a.csv"\r\n\r\n'
        for start in range(0, len(content), MB):
            yield content[start : start + MB]
        yield b"\r\n--cut--\r\n"

    def send(self, wire: Wire, content: bytes, *, chunked: bool) -> tuple[int, dict[str, Any]]:
        body = self.form(content)
        headers = wire.headers | {"Content-Type": "multipart/form-data; boundary=cut"}
        path = "/v2/accounts/acme/contacts/csv-upload"
        sent: Any = body if chunked else b"".join(body)
        wire.connection.request("POST", path, sent, headers, encode_chunked=chunked)
        response = wire.connection.getresponse()
        return response.status, json.loads(response.read())

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_file_of_59_mb_is_accepted(self, wire, chunked):
        content = b"number\n" + b"\n" * 59 * MB
        status, envelope = self.send(wire, content, chunked=chunked)
        assert status == 200, envelope
        assert sum(len(piece.content) for piece in CsvPiece.objects.iterator(chunk_size=1)) == len(content)

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_file_of_64_mb_is_refused_and_the_client_reads_why(self, wire, chunked):
        status, envelope = self.send(wire, b"number\n" + b"\n" * 64 * MB, chunked=chunked)
        assert status == 413
        assert "60 MB" in envelope["response"]["error_data"]["description"]
        assert CsvPiece.objects.count() == 0
