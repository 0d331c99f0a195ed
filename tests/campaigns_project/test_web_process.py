"""gunicorn as the Procfile starts it, at an IPv6 address and behind https: probes get through, nothing else does."""

import http.client
import os
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from tests.dialer.events_server import Served
from tools.local import process_groups
from tools.local.ports import accepts_connections, free_ports
from tools.local.project import read_procfile, with_programs

HOST = "calls.example.com"
POD = "10.42.0.7:8000"


@pytest.fixture(scope="module")
def port(django_db_setup: None) -> Iterator[int]:
    [port] = free_ports(1)
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    own = {
        "DATABASE_URL": urlunsplit(database),
        "PUBLIC_URL": f"https://{HOST}/calls",
        "WEB_HOST": "::1",
        "WEB_PORT": str(port),
        "WEB_WORKERS": "1",
        "METRICS_TOKEN": "scraper",
        # As somebody sets who knows it from gunicorn, which would refuse what comes without it.
        "SCRIPT_NAME": "/calls",
    }
    web = process_groups.spawn(read_procfile()["web"], with_programs(os.environ | own))
    deadline = time.monotonic() + 120
    while not accepts_connections("::1", port):
        assert web.poll() is None, "gunicorn has ended"
        assert time.monotonic() < deadline, "gunicorn did not come up"
        time.sleep(0.05)
    yield port
    process_groups.stop([web])


def ask(port: int, path: str, host: str = POD, **headers: str) -> http.client.HTTPResponse:
    with closing(http.client.HTTPConnection("::1", port, timeout=60)) as wire:
        wire.request("GET", path, headers={"Host": host, **headers})
        response = wire.getresponse()
        response.read()
        return response


@pytest.mark.parametrize("prefix", ["", "/calls"])
@pytest.mark.parametrize("host", [POD, "evil.example", f"[::1]:{8000}", "a b"])
def test_probes_get_through_whatever_the_host(port, prefix, host):
    assert ask(port, f"{prefix}/healthz", host).status == 200
    assert ask(port, f"{prefix}/readyz", host).status in {200, 503}
    assert ask(port, f"{prefix}/metrics", host, Authorization="Bearer scraper").status == 200
    assert ask(port, f"{prefix}/metrics", host).status == 401


def test_all_else_asks_for_the_host_and_for_tls(port):
    assert ask(port, "/admin/login/").status == 400
    redirected = ask(port, "/admin/login/", HOST)
    assert (redirected.status, redirected.headers["Location"]) == (301, f"https://{HOST}/calls/admin/login/")


@pytest.mark.parametrize("name", ["Script-Name", "SCRIPT_NAME", "X-Script-Name"])
def test_no_header_says_where_the_server_is_mounted(port, name):
    response = ask(port, "/evil/healthz", **{name: "/evil"})
    assert response.status != 200


def test_the_events_process_answers_probes_alike(transactional_db, settings):
    settings.EVENTS_URL = f"https://{HOST}/calls"
    served = Served()
    try:
        for prefix in ("", "/calls"):
            for path in ("/healthz", "/readyz"):
                assert served.post(f"{prefix}{path}", None, method="GET", Host=POD).status == 200, path
        assert served.post("/carrier-events/exotel/x", "{}", Host=POD).status == 400
        assert served.post("/metrics", None, method="GET", Host="testserver").status == 301
    finally:
        served.stop()
