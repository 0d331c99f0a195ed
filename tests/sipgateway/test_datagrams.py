"""Datagrams by the system's own calls, as sockets send and receive them."""

import socket
from collections.abc import Iterator

import pytest

from sipgateway import datagrams
from sipgateway.datagrams import Receiver


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for end in made:
        end.bind(("127.0.0.1", 0))
        end.settimeout(60)
    yield made[0], made[1]
    for end in made:
        end.close()


def address_of(end: socket.socket) -> bytes:
    return datagrams.address(*end.getsockname())


def test_what_is_sent_comes_whole_with_the_address_of_its_sender(ends):
    one, other = ends
    datagrams.send(one.fileno(), b"\0sound\0", address_of(other))
    other.recv(1, socket.MSG_PEEK)  # it has come
    received = Receiver(100).receive(other.fileno())
    assert received
    packet, sender = received
    assert packet == b"\0sound\0"
    assert datagrams.is_same(sender, address_of(one))
    assert not datagrams.is_same(sender, address_of(other))


def test_where_nothing_has_come_nobody_waits(ends):
    assert Receiver(100).receive(ends[0].fileno()) is None


def test_an_empty_packet_is_one_and_a_long_one_is_cut(ends):
    one, other = ends
    receiver = Receiver(4)
    for packet, is_received_as in ((b"", b""), (b"123456", b"1234"), (b"78", b"78")):
        one.sendto(packet, other.getsockname())
        other.recv(1, socket.MSG_PEEK)
        received = receiver.receive(other.fileno())
        assert received
        assert received[0] == is_received_as


def test_a_packet_that_can_t_be_sent_is_lost(ends):
    datagrams.send(ends[0].fileno(), b"x" * 70_000, address_of(ends[1]))  # longer than any datagram
    datagrams.send(-1, b"x", address_of(ends[1]))
    assert Receiver(10).receive(ends[1].fileno()) is None


@pytest.mark.parametrize("host", ["trunk.example", "::1", ""])
def test_only_an_ipv4_address_is_one(host):
    with pytest.raises(OSError, match="illegal IP address"):
        datagrams.address(host, 5060)
