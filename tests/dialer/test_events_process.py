"""The events process as the Procfile starts it: killed before it responds, and stopped with events under way."""

import http.client
import os
import signal
import time
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from django.db import connection

from core import liveness
from dialer.models import CallAttempt, CarrierEvent
from tests.conftest import NUMBERS
from tests.dialer.events_server import Response, head, held_inbox, open_wire, path_of
from tools.local import process_groups
from tools.local.ports import accepts_connections, free_ports
from tools.local.project import read_procfile, with_programs

BUSY = b'{"status": "busy"}'


class Process:
    """The process, on the tests' database and Redis."""

    def __init__(self, folder):
        self.failpoint = folder / "failpoint"
        [self.port] = free_ports(1)
        self.running: process_groups.Process | None = None

    def start(self):
        if self.running is not None and self.running.poll() is None:
            return
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        own = {"EVENTS_PORT": str(self.port), "FAILPOINT_FILE": str(self.failpoint)}
        environment = with_programs(os.environ | own | {"DATABASE_URL": urlunsplit(database)})
        self.running = process_groups.spawn(read_procfile()["events"], environment)
        wait_until(self.accepts, "the process did not start")

    def accepts(self):
        assert self.running is not None
        assert self.running.poll() is None, "the process has ended"
        return accepts_connections("127.0.0.1", self.port)

    def post(self, path):
        return Response.of(self.port, path, BUSY)

    def end(self):
        if self.running is not None:
            process_groups.collect(self.running)


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def process_of_the_module(django_db_setup, tmp_path_factory):
    made = Process(tmp_path_factory.mktemp("events"))
    yield made
    made.end()


@pytest.fixture
def process(process_of_the_module):
    process_of_the_module.start()
    return process_of_the_module


def test_an_event_whose_response_was_lost_is_a_repeat_when_it_comes_again(rig, process):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    campaign = rig.campaign(1)
    rig.tick()
    path = path_of(CallAttempt.objects.get().pk, "simulated")
    process.failpoint.write_text("event-after-commit:1")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        process.post(path)
    assert process.running.wait(60) == -signal.SIGKILL
    assert CarrierEvent.objects.count() == 1
    process.start()
    assert process.post(path).status == 204
    assert CarrierEvent.objects.count() == 2
    rig.settle()
    attempt = CallAttempt.objects.get()
    assert attempt.history.filter(to_status="busy").count() == 1
    assert not CarrierEvent.objects.filter(handled_at=None).exists()
    campaign.refresh_from_db()
    assert campaign.status == "completed"


def test_progress_is_noted_and_a_stop_lets_the_events_under_way_end(transactional_db, redis, process):
    wait_until(lambda: liveness.problem("events") == "", "no progress is noted")
    with held_inbox() as let_go, closing(open_wire(process.port, b"")) as half_sent:
        half_sent.sendall(head(path_of(uuid4()), Content_Length=1000) + b"{")
        event = head(path_of(uuid4()), Content_Length=len(BUSY)) + BUSY
        waiting = [open_wire(process.port, event) for _ in range(3)]
        # What was sent before this request is read before it.
        assert Response.of(process.port, "/healthz", None, method="GET").status == 200
        process.running.terminate()
        let_go()
        for wire in waiting:
            with closing(wire):
                assert Response.read_from(wire).status == 204
        assert half_sent.recv(12) in {b"HTTP/1.1 408", b""}
    assert process.running.wait(60) == 0
    assert CarrierEvent.objects.count() == 3
