"""The address is requested byte for byte as it was given, shown by what a socket receives."""

import socket
import threading

import pytest

from tests.factories import WebhookDeliveryFactory
from webhooks import addresses, delivery
from webhooks.addresses import UnusableAddress, request_url


class RawReceiver:
    """Takes connections on loopback and keeps their bytes, without a library that could read an address its own way."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self.socket.accept()
            except OSError:
                return
            with taken:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += taken.recv(65536)
                self.requests.append(received)
                taken.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@pytest.fixture
def raw():
    made = RawReceiver()
    yield made
    made.socket.close()


AS_GIVEN = [
    "/h?token=a%2Fb",
    "/h?token=a%2fb",
    "/h?a=%41%7E~",
    "/a%2Fb/c%2e%2e/d",
    "/a/../b/./c//d",
    "//double",
    "/h?",
    "/h?a=b+c%20d",
    "/h?a=1&a=2&&=&b",
    "/h?next=http://x.example/?y=z?w",
    "/h?sig=aGVsbG8=/+==",
    "/h?a=%ZZ%",
    '/h?q=[1]{2}|3^4`5\\6"7<8>',
    "/h;v=1,2?x='!*()@:$",
    "/",
]


@pytest.mark.django_db(transaction=True)
class TestOnTheWire:
    def line_of(self, raw, rest):
        row = WebhookDeliveryFactory(url=f"http://127.0.0.1:{raw.port}{rest}")
        delivery.deliver_due()
        row.refresh_from_db()
        assert (row.state, row.last_error) == ("delivered", "")
        [request] = raw.requests
        return request

    @pytest.mark.parametrize("rest", AS_GIVEN)
    def test_path_and_query_are_what_was_given(self, raw, private_allowed, rest):
        assert self.line_of(raw, rest).startswith(f"POST {rest} HTTP/1.1\r\n".encode())

    @pytest.mark.parametrize(
        ("rest", "sent"),
        [
            ("", "/"),
            ("?a=%2F", "/?a=%2F"),
            ("/h?a=b#fragment?c", "/h?a=b"),
            ("#top", "/"),
            ("/café/नमस्ते?q=ü%2F", "/caf%C3%A9/%E0%A4%A8%E0%A4%AE%E0%A4%B8%E0%A5%8D%E0%A4%A4%E0%A5%87?q=%C3%BC%2F"),
            ("/a b", "/a%20b"),
            ("/a\r\nX-Injected: 1", "/a%0D%0AX-Injected:%201"),
        ],
    )
    def test_what_can_not_stand_in_a_request_is_encoded_and_fragments_stay_here(self, raw, private_allowed, rest, sent):
        assert self.line_of(raw, rest).startswith(f"POST {sent} HTTP/1.1\r\n".encode())

    def test_user_and_password_become_a_header(self, raw, private_allowed):
        row = WebhookDeliveryFactory(url=f"http://us%2Fer:p%40ss@127.0.0.1:{raw.port}/h?a=%2F")
        delivery.deliver_due()
        row.refresh_from_db()
        assert row.state == "delivered", row.last_error
        [request] = raw.requests
        assert request.startswith(b"POST /h?a=%2F HTTP/1.1\r\n")
        assert b"Authorization: Basic dXMvZXI6cEBzcw==\r\n" in request  # us/er:p@ss
        assert f"Host: 127.0.0.1:{raw.port}\r\n".encode() in request

    def test_a_name_in_another_script_is_asked_for_in_punycode(self, raw, private_allowed, monkeypatch):
        asked = []

        def getaddrinfo(host, port, *_, **__):
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        row = WebhookDeliveryFactory(url=f"http://bücher.example:{raw.port}/h")
        delivery.deliver_due()
        row.refresh_from_db()
        assert row.state == "delivered", row.last_error
        assert asked == ["xn--bcher-kva.example"]
        assert f"Host: xn--bcher-kva.example:{raw.port}\r\n".encode() in raw.requests[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example\\@127.0.0.1/",
        "http://127.0.0.1\\@client.example/",
        "http://client.example@127.0.0.1/",
        "http://127.0.0.1#@client.example/",
        "http://127.0.0.1?@client.example/",
        "http://127.0.0.1/@client.example",
        "http://client.example:80@127.0.0.1:81/",
        "HTTP://127.0.0.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127。0。0。1/",
        "http://ⓛocalhost/",
    ],
)
def test_the_check_judges_the_host_that_is_requested(monkeypatch, url):
    """However a URL is read, it is refused where the server that is asked is private, or it can't be used at all."""
    monkeypatch.setattr(addresses, "_resolve", lambda host, *_: ("8.8.8.8",) if host == "client.example" else ("::1",))
    try:
        requested = request_url(url).raw_host
    except UnusableAddress:
        return
    assert addresses.is_refused(url, addresses.LookUps()) == (requested != "client.example")


@pytest.mark.parametrize(
    "url", ["", "http://", "http:///path", "http://[::1", "ftp://x.example/", "//x.example/", "http://x:99999/"]
)
def test_nothing_is_requested_from_what_is_no_address(url):
    with pytest.raises(UnusableAddress):
        request_url(url)
