"""A SIP gateway's own health checks: any host may be named, and nothing is told but the state."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from sipgateway.probes import Probes


class State:
    is_up = True
    is_ready = True


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture(params=["127.0.0.1", "::1"])
def probes(request, state) -> Iterator[tuple[str, int]]:
    listening = Probes((request.param, 0), lambda: state.is_up, lambda: state.is_ready)
    yield request.param, listening.port
    listening.close()


def ask(address: tuple[str, int], path: str, method: str = "GET") -> tuple[int, object]:
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        connection.request(method, path, headers={"Host": "10.42.0.7:8003"})
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if response.status in {200, 503} else None


def test_it_tells_whether_the_gateway_is_up_and_takes_calls(probes, state):
    assert ask(probes, "/healthz") == (200, {"status": "up"})
    assert ask(probes, "/readyz?from=kubelet") == (200, {"status": "ready"})
    state.is_ready = False
    assert ask(probes, "/healthz") == (200, {"status": "up"})
    assert ask(probes, "/readyz") == (503, {"status": "not ready"})
    state.is_up = False
    assert ask(probes, "/healthz") == (503, {"status": "not up"})


def test_nothing_else_is_there(probes):
    assert ask(probes, "/metrics")[0] == 404
    assert ask(probes, "/healthz", "POST")[0] == 501


def test_a_probe_may_ask_without_the_body(probes, state):
    with closing(http.client.HTTPConnection(probes[0], probes[1], timeout=60)) as connection:
        connection.request("HEAD", "/healthz")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
