"""What sipp's log of messages says of rings."""

import pytest

from tools import sipp_party
from tools.sipp_party import Sipp


def message(second, way, first_line, call_id, tag="a", of="INVITE"):
    head = f"From: <sip:me@a.example>;tag={tag}\r\nTo: <sip:you@b.example>\r\nCall-ID: {call_id}\r\nCSeq: 1 {of}\r\n"
    size = "(500 bytes):" if way == "sent" else "[500] bytes :"
    at = f"2026-03-02 06:00:{second:02d}.500000"
    line = first_line if first_line.startswith("SIP/2.0 ") else f"{first_line} SIP/2.0"
    return f"{'-' * 47} {at}\nUDP message {way} {size}\n\n{line}\r\n{head}\r\n\n"


INVITE = "INVITE sip:+919810000001@127.0.0.1:5070"


@pytest.fixture
def rings(tmp_path):
    """Return the rings of a log with these messages."""

    def of(*messages):
        party = object.__new__(Sipp)
        party.messages = tmp_path / "messages.log"
        party.messages.write_text("".join(messages))
        return party.rings()

    return of


def test_a_ring_lasts_from_its_invite_to_its_last_message(rings):
    [ring] = rings(
        message(1, "received", INVITE, "one"),
        message(2, "sent", "SIP/2.0 180 Ringing", "one"),
        message(9, "received", "BYE sip:x@a", "one"),
    )
    assert (ring.call_id, ring.number, ring.ended - ring.began) == ("one", "+919810000001", 8)


@pytest.mark.parametrize(
    ("way", "line", "of", "lasts"),
    [
        ("sent", "SIP/2.0 486 Busy Here", "INVITE", 2),
        ("sent", "SIP/2.0 200 OK", "BYE", 2),
        ("received", "SIP/2.0 200 OK", "BYE", 2),
        ("sent", "SIP/2.0 200 OK", "INVITE", 8),
        ("sent", "SIP/2.0 200 OK", "CANCEL", 8),
        ("sent", "SIP/2.0 180 Ringing", "INVITE", 8),
        ("sent", "SIP/2.0 407 Proxy Authentication Required", "INVITE", 8),
        ("received", "BYE sip:x@a", "BYE", 8),
        ("sent", "BYE sip:x@a", "BYE", 8),
    ],
)
def test_a_ring_is_over_with_the_message_that_ends_it_whatever_is_said_again(rings, way, line, of, lasts):
    """A sipp that stood still says its responses again when it goes on, and gets an ACK for each."""
    [ring] = rings(
        message(1, "received", INVITE, "one"),
        message(3, way, line, "one", of=of),
        message(9, "received", "ACK sip:x@a", "one", of="ACK"),
    )
    assert ring.ended - ring.began == lasts


def test_a_ring_tells_whether_sipp_has_said_anything_of_it(rings):
    silent, rung = rings(
        message(1, "received", INVITE, "silent"),
        message(1, "received", INVITE, "rung"),
        message(2, "sent", "SIP/2.0 180 Ringing", "rung"),
    )
    assert (silent.has_response, rung.has_response) == (False, True)


def test_what_is_sent_again_and_the_answer_to_a_challenge_are_no_ring(rings):
    found = rings(*(message(second, "received", INVITE, "one") for second in (1, 2, 3)))
    assert len(found) == 1
    assert sipp_party.double_rings(found) == 0


def test_an_invite_of_another_caller_with_the_same_call_id_is_a_second_ring(rings):
    found = rings(message(1, "received", INVITE, "one"), message(5, "received", INVITE, "one", tag="b"))
    assert sipp_party.double_rings(found) == 1


def test_calls_at_once_are_those_that_overlap(rings):
    found = rings(
        *(message(second, "received", INVITE, f"call {second}") for second in (1, 3, 20)),
        *(message(second + 5, "received", "BYE sip:x@a", f"call {second}") for second in (1, 3, 20)),
    )
    assert (len(found), sipp_party.most_at_once(found)) == (3, 2)
