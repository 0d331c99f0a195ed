"""Redis over TLS: every client of it verifies the certificate. A real Valkey behind a relay that speaks TLS."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis as redis_py
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import OperationalError

from api.http.rate_limits import Meter
from core import server_urls
from core.redis_client import redis_client

NAME = "Valkey of a test"


def certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    now = timezone.now()
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = made.sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "both.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM) + secret)
    (folder / "ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return folder / "ca.pem"


class Relay:
    """Takes connections over TLS, and passes what they say to a server that does not speak it."""

    def __init__(self, pem: Path, host: str, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._behind = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(raw,), daemon=True).start()

    def _relay(self, raw: socket.socket) -> None:
        with (
            suppress(OSError),
            raw,
            self._context.wrap_socket(raw, server_side=True) as client,
            socket.create_connection(self._behind, timeout=60) as server,
        ):
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            _copy(client, server)

    def close(self) -> None:
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def url_and_ca(tmp_path: Path, redis) -> Iterator[tuple[str, str]]:
    ca_file = certificate(tmp_path)
    plain = urlsplit(os.environ["REDIS_URL"])
    relay = Relay(tmp_path / "both.pem", plain.hostname or "", plain.port or 0)
    yield f"rediss://:{plain.password}@127.0.0.1:{relay.port}{plain.path}", str(ca_file)
    relay.close()


def ask_gate(url: str) -> bool:
    redis_client.cache_clear()
    try:
        return bool(redis_client().ping())
    finally:
        redis_client.cache_clear()


def ask_broker(url: str) -> bool:
    with Connection(
        server_urls.broker(url, ""), transport_options={"max_retries": 0, "socket_timeout": 60}
    ) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=60)
        return bool(connection.default_channel.client.ping())  # type: ignore[attr-defined]


def ask_meter(url: str) -> bool:
    return Meter(url).look("one", 5) is not None


def is_refused(ask: Callable[[str], bool], url: str) -> bool:
    try:
        return not ask(url)
    except (redis_py.ConnectionError, OperationalError):
        return True


@pytest.mark.parametrize("ask", [ask_gate, ask_broker, ask_meter])
def test_every_client_verifies_the_certificate_where_the_address_says_nothing(url_and_ca, settings, ask):
    url, ca_file = url_and_ca
    settings.REDIS_URL = server_urls.with_tls(url, ca_file)
    assert ask(settings.REDIS_URL)
    settings.REDIS_URL = server_urls.with_tls(url, "")
    assert is_refused(ask, settings.REDIS_URL), "the system's authorities have not signed it"
    settings.REDIS_URL = server_urls.with_tls(f"{url}?ssl_cert_reqs=none", "")
    assert ask(settings.REDIS_URL), "somebody has said that it may not be verified"


@pytest.mark.parametrize("ask", [ask_gate, ask_broker])
def test_a_certificate_of_another_host_is_refused(url_and_ca, settings, ask):
    url, ca_file = url_and_ca
    settings.REDIS_URL = server_urls.with_tls(url.replace("127.0.0.1", "localhost"), ca_file)
    assert is_refused(ask, settings.REDIS_URL)
