"""The reverse-proxy files that are shipped: nginx and Caddy accept them, and nginx passes a request on.

Skipped where the program is not installed (`apt-get install nginx-light`).
"""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from api.csv_uploads.upload_form import MAX_FILE_BYTES
from tests.docs.pages import ROOT

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CADDY = shutil.which("caddy")
HOST = "calls.example.com"
UPLOAD = "/v2/accounts/acme/contacts/csv-upload"


@pytest.fixture
def behind() -> Iterator[ThreadingHTTPServer]:
    """A server in the place of the web process: it responds with the headers and the size of the body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen = f"{self.path} {self.headers['X-Forwarded-For']} {self.headers['X-Forwarded-Proto']} {len(body)}"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(seen.encode())

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Write nothing to the output of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    now = timezone.now()
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now.replace(year=now.year + 1))
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "fullchain.pem").write_bytes(pem)
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "privkey.pem").write_bytes(secret)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Nginx:
    """nginx with the shipped file on ports of this machine."""

    def __init__(self, folder: Path, web_port: int) -> None:
        certificate(folder)
        self.port = free_port()
        site = (ROOT / "deploy/nginx.conf").read_text()
        site = re.sub(r"listen \[::\]:\d+( ssl)?;\n", "", site)
        site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        site = site.replace("listen 80", f"listen 127.0.0.1:{free_port()}")
        site = site.replace("127.0.0.1:8000", f"127.0.0.1:{web_port}").replace("/etc/ssl/trunkline", str(folder))
        site = site.replace("127.0.0.1:8001", f"127.0.0.1:{web_port}")
        (folder / "site.conf").write_text(site)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        # Its workers would be nobody's otherwise, and could not write into the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}"
            f" http {{ access_log off; {paths} include {folder}/site.conf; }}"
        )
        self.command = [
            str(NGINX),
            "-c",
            str(folder / "nginx.conf"),
            "-p",
            str(folder),
            "-e",
            str(folder / "error.log"),
        ]

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        connection.request(method, path, body, {"Host": HOST, **headers})
        response = connection.getresponse()
        content = response.status, response.read().decode()
        connection.close()
        return content


@pytest.fixture
def nginx(behind, tmp_path) -> Iterator[Nginx]:
    made = Nginx(tmp_path, behind.server_port)
    subprocess.run([*made.command, "-t"], check=True, capture_output=True, timeout=60)
    server = subprocess.Popen(made.command)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", made.port)) == 0:
                    break
            assert server.poll() is None, (tmp_path / "error.log").read_text()
            threading.Event().wait(0.05)
        yield made
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_passes_on_what_it_should(nginx):
    forged = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "http"}
    assert nginx.ask("GET", "/healthz", **forged) == (200, "/healthz 127.0.0.1 https 0")
    assert nginx.ask("POST", "/v2/accounts/acme/campaigns", b"x" * 2_000_000)[0] == 200
    assert nginx.ask("GET", "/metrics")[0] == 404
    assert nginx.ask("POST", "/carrier-events/exotel/1", b"x") == (200, "/carrier-events/exotel/1 127.0.0.1 https 1")
    large = b"x" * 4_000_000
    assert nginx.ask("POST", UPLOAD, large)[0] == 200
    assert nginx.ask("POST", "/v2/accounts/acme/campaigns", large)[0] == 413


@pytest.mark.skipif(CADDY is None, reason="Caddy is not installed")
def test_caddy_takes_its_file():
    subprocess.run(
        [str(CADDY), "validate", "--adapter", "caddyfile", "--config", ROOT / "deploy/Caddyfile"],
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize(("name", "size"), [("nginx.conf", "client_max_body_size 61m"), ("Caddyfile", "max_size 61MB")])
def test_the_files_take_the_largest_upload(name, size):
    text = (ROOT / "deploy" / name).read_text()
    assert size in text
    assert 61_000_000 < MAX_FILE_BYTES <= 61 * 1024 * 1024
