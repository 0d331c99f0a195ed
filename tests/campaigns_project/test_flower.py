"""Flower has no login: it answers under the names of this server only. Its memory does not grow with the tasks."""

import asyncio
import gc
import sys

import pytest
import tornado.httpserver
import tornado.testing
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.web import Application, RequestHandler

from campaigns_project import flower
from campaigns_project.flower import MOST_TASKS, OwnHostsOnly, is_own_host


class Page(RequestHandler):
    def get(self):
        self.write("tasks")


class Small(OwnHostsOnly):
    """The same, but for what Flower starts beside its pages."""

    def __init__(self):
        Application.__init__(self, [("/", Page)])


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:5555", True),
        ("localhost:5555", True),
        ("LOCALHOST", True),
        ("[::1]:5555", True),
        ("calls.example", True),
        ("evil.example:5555", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_hosts_are_those_of_the_settings(settings, host, is_own):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "calls.example"]
    assert is_own_host(host) is is_own


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("evil.example", 400)])
def test_a_request_under_another_name_gets_nothing(host, status):
    async def ask():
        socket, port = tornado.testing.bind_unused_port()
        server = tornado.httpserver.HTTPServer(Small())
        server.add_socket(socket)
        request = HTTPRequest(f"http://127.0.0.1:{port}/", headers={"Host": host})
        response = await AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)
        server.stop()
        return response

    response = asyncio.run(ask())
    assert response.code == status
    assert (b"tasks" in response.body) is (status == 200)


@pytest.mark.parametrize(("arguments", "most"), [([], MOST_TASKS), (["--max_tasks=20"], 20)])
def test_it_remembers_the_last_tasks_and_frees_the_others(monkeypatch, arguments, most):
    thresholds, given = gc.get_threshold(), []
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(flower, "celery_main", lambda: given.append((sys.argv, gc.get_threshold())))
    try:
        flower.main(["--port=1", *arguments])
    finally:
        gc.set_threshold(*thresholds)
    [(command, in_flower)] = given
    limits = [argument for argument in command if argument.startswith("--max_tasks=")]
    assert limits[-1] == f"--max_tasks={most}", "the last one counts"
    assert in_flower[0] < 1_000, "a task that it forgets is a cycle: rare searches keep a hundred thousand objects"
