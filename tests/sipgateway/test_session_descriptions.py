"""Session descriptions that callees send, and keys in INFO requests."""

import pytest

from sipgateway import session_descriptions
from sipgateway.session_descriptions import PCMA, PCMU, Remote

ANSWER = """v=0
o=callee 1 1 IN IP4 10.0.0.1
s=-
c=IN IP4 203.0.113.9
t=0 0
m=audio 40000 RTP/AVP 8 0 96
a=rtpmap:8 PCMA/8000
a=rtpmap:96 telephone-event/8000
a=sendrecv
"""


def test_an_answer_says_where_and_in_which_form():
    assert session_descriptions.read(ANSWER.replace("\n", "\r\n")) == Remote("203.0.113.9", 40000, PCMA, 96)


@pytest.mark.parametrize(
    ("change", "remote"),
    [
        (("RTP/AVP 8 0 96", "RTP/AVP 0 101"), Remote("203.0.113.9", 40000, PCMU, None)),
        (("m=audio", "m=video 1 RTP/AVP 31\nc=IN IP4 1.1.1.1\nm=audio"), Remote("203.0.113.9", 40000, PCMA, 96)),
        (("a=sendrecv", "c=IN IP4 198.51.100.2"), Remote("198.51.100.2", 40000, PCMA, 96)),
        (("telephone-event", "TELEPHONE-EVENT"), Remote("203.0.113.9", 40000, PCMA, 96)),
        (("RTP/AVP 8 0 96", "RTP/AVP 18 96"), None),
        (("m=audio 40000", "m=audio 0"), None),
        (("RTP/AVP", "RTP/SAVP"), None),
        (("c=IN IP4 203.0.113.9\n", ""), None),
        (("203.0.113.9", "fe80::1"), None),
        # Names: each packet would wait for its look-up, and one that can't be a name would fail it.
        (("203.0.113.9", "media.example"), None),
        (("203.0.113.9", "a" * 100), None),
        (("203.0.113.9", "a..b"), None),
        (("m=audio 40000", "m=audio 999999"), None),
    ],
)
def test_an_answer_in_another_form(change, remote):
    assert session_descriptions.read(ANSWER.replace(*change)) == remote


@pytest.mark.parametrize("text", ["", "v=0", "nonsense", "m=", "m=audio x RTP/AVP 0"])
def test_what_is_no_description_has_no_sound(text):
    assert session_descriptions.read(text) is None


def test_our_offer_is_read_as_what_it_offers():
    offer = session_descriptions.offer("203.0.113.5", 12000, 7)
    assert session_descriptions.read(offer) == Remote("203.0.113.5", 12000, PCMU, session_descriptions.KEYS)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("Signal=5\r\nDuration=160\r\n", "5"),
        ("signal= #\nduration=100", "#"),
        ("Signal=10", "*"),
        ("Signal=11", "#"),
        ("7", "7"),
        ("Signal=A", ""),
        ("Signal=55", ""),
        ("", ""),
    ],
)
def test_a_key_of_an_info_request(body, key):
    assert session_descriptions.key_of_info(body) == key
