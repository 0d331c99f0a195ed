"""The sandbox as a process of its own."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start():
    processes = []

    def start(*arguments, **environment):
        """Start the process; return it with the port that it logs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout.readline())
        found = re.search(r"port=(\d+)", uncoloured)
        assert found, uncoloured
        return process, int(found[1])

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def health(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_sandbox/healthz", timeout=60) as response:
        return response.status


def test_requests_are_answered_under_known_names_only(start):
    _, port = start("--port", "0", "--allow-host", "Sandbox.lan", SANDBOX_URL="http://carrier.test:8010")

    def status(host):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/_sandbox/healthz", headers={"Host": host})
            with connection.getresponse() as response:
                return response.status

    for known in (f"127.0.0.1:{port}", "localhost", "[::1]:80", "sandbox.lan:8010", "carrier.test"):
        assert status(known) == 200, known
    for unknown in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "["):
        assert status(unknown) == 400, unknown


def test_the_port_comes_from_the_option_or_the_environment(start):
    _, port = start("--port", "0")
    assert health(port) == 200
    _, from_environment = start(SANDBOX_PORT="0")
    assert health(from_environment) == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_cleanly_though_a_call_is_up(start, number):
    process, port = start("--port", "0")
    script = urllib.request.Request(
        f"http://127.0.0.1:{port}/_sandbox/script",
        data=json.dumps({"default": [{"outcome": "completed", "ring": 600}]}).encode(),
        method="PUT",
    )
    urllib.request.urlopen(script, timeout=60).close()
    form = {"From": "+919812345678", "CallerId": "08012345678", "Url": "http://127.0.0.1:1/"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/Accounts/acme1/Calls/connect.json",
        data=urllib.parse.urlencode(form).encode(),
        headers={"Authorization": "Basic a2V5OnRva2Vu"},
    )
    urllib.request.urlopen(request, timeout=60).close()
    process.send_signal(number)
    assert process.wait(60) == 0, "the phone would ring for ten minutes"


def test_it_imports_nothing_else_of_the_repository():
    probe = "import sys, sandbox.__main__; print([m for m in sys.modules if m.partition('.')[0] in {names}])"
    names = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"sandbox"}
    result = subprocess.run(
        [sys.executable, "-c", probe.format(names=names | {"django"})],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
