"""Names of trunks: nobody waits for another one's, nor for long."""

import queue
import socket
import threading

import pytest

from sipgateway import names
from sipgateway.names import Names
from tests.sipgateway.sip_parties import wait_until

ADDRESS = "192.0.2.1"


class Resolver:
    """The system's resolver: knows `good`, says at once that there is no `none`, and hangs on any other name."""

    def __init__(self):
        self.asked, self.known = [], {"good"}
        self.go_on = threading.Event()

    def look_up(self, host, *_):
        self.asked.append(host)
        if host not in {"good", "none"}:
            self.go_on.wait(60)
        if host not in self.known:
            raise socket.gaierror("no such name")
        return [(None, None, None, "", (ADDRESS, 0))]


@pytest.fixture
def resolver(monkeypatch):
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    yield made
    made.go_on.set()
    for thread in threading.enumerate():
        if thread.name == "sip-name":
            thread.join(60)


@pytest.fixture
def told():
    """What was told, in its order."""
    return queue.SimpleQueue()


def test_a_name_that_hangs_holds_up_no_other(resolver, told):
    made = Names()
    dead: queue.SimpleQueue[str] = queue.SimpleQueue()
    for at in range(20):
        made.resolve(f"dead{at}", dead.put)
    made.resolve("good", told.put)
    assert told.get(timeout=60) == ADDRESS
    resolver.asked.clear()
    made.resolve("good", told.put)
    assert (told.get_nowait(), resolver.asked) == (ADDRESS, [])


def test_it_is_waited_for_a_while_and_the_look_up_goes_on(resolver, told, monkeypatch):
    monkeypatch.setattr(names, "WAITS_FOR", 0.01)
    made = Names()
    made.resolve("slow", told.put)
    assert told.get(timeout=60) == ""
    # Whoever asks later does not wait again, and asks nobody again.
    made.resolve("slow", told.put)
    assert (told.get_nowait(), resolver.asked) == ("", ["slow"])
    resolver.known.add("slow")
    resolver.go_on.set()
    wait_until(lambda: not made._names["slow"].looks_since, "the look-up did not end")
    made.resolve("slow", told.put)
    assert told.get_nowait() == ADDRESS


def test_an_address_is_used_on_where_its_name_is_lost(resolver, told, monkeypatch):
    made = Names()
    made.resolve("good", told.put)
    assert told.get(timeout=60) == ADDRESS
    monkeypatch.setattr(names, "FRESH_FOR", 0.0)
    resolver.known.clear()
    for _ in range(3):
        made.resolve("good", told.put)
        assert told.get_nowait() == ADDRESS
        wait_until(lambda: not made._names["good"].looks_since, "the look-up did not end")
    assert resolver.asked == ["good", "good"]  # after a failure only when some time has passed


def test_a_name_that_is_none_is_asked_for_again_after_a_while(resolver, told, monkeypatch):
    made = Names()
    for _ in range(2):
        made.resolve("none", told.put)
        assert told.get(timeout=60) == ""
    assert resolver.asked == ["none"]
    monkeypatch.setattr(names, "TRIES_AGAIN_AFTER", 0.0)
    resolver.known.add("none")
    made.resolve("none", told.put)
    assert told.get(timeout=60) == ADDRESS


def test_an_address_is_not_looked_up(resolver, told):
    Names().resolve("192.0.2.9", told.put)
    assert (told.get_nowait(), resolver.asked) == ("192.0.2.9", [])


def test_look_ups_are_bounded(resolver, told):
    made = Names(1)
    made.resolve("dead", told.put)
    made.resolve("good", told.put)
    assert (told.get_nowait(), resolver.asked) == ("", ["dead"])


def test_names_that_are_remembered_are_bounded(resolver, told, monkeypatch):
    monkeypatch.setattr(names, "MOST_NAMES", 2)
    made = Names()
    resolver.go_on.set()
    for at in range(5):
        made.resolve(f"name{at}", told.put)
        told.get(timeout=60)
    assert len(made._names) <= 3
