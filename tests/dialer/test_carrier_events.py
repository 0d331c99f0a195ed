"""Bodies of events: a form of plain parts is read by a short way, which gives no other answer than Django's parser."""

import random

import pytest
from django.http.multipartparser import MultiPartParserError

from dialer import carrier_events

FIELDS = {"CallSid": "a" * 32, "Status": "completed", "StatusCallbackEvents[0]": "terminal", "CustomField": "é 1\n2"}
CUT = "cut4c1"
KIND = f"multipart/form-data; boundary={CUT}"
BODY = "".join(
    f'--{CUT}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in FIELDS.items()
).encode()
WHOLE = BODY + f"--{CUT}--\r\n".encode()
ODD = [b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"--", b" ", b'"', b"\\", b"%22", b"\0", b"\xff", b"x", CUT.encode()]
ODD += [b"; filename=a", b"\r\nContent-Type: text/plain", b"\r\nContent-Transfer-Encoding: base64"]


def by_django(body):
    try:
        return carrier_events._multipart(KIND, body, "utf-8")
    except MultiPartParserError as error:
        return error


def test_a_carriers_form_goes_the_short_way():
    assert carrier_events._plain_multipart(WHOLE, CUT) == carrier_events.read(KIND, WHOLE) == FIELDS == by_django(WHOLE)
    assert carrier_events._plain_multipart(WHOLE.replace(b'"\r\n', b'"\r\nContent-Type: text/plain\r\n'), CUT) == FIELDS


FILE = WHOLE.replace(b"name=", b'filename="f"; name=')


@pytest.mark.parametrize("body", [b"", BODY, WHOLE[:-8], b"x" + WHOLE, FILE, WHOLE.replace(b"\r", b"")])
def test_what_is_no_plain_form_is_left_to_django(body):
    assert carrier_events._plain_multipart(body, CUT) is None


def test_forms_that_were_changed_at_random_are_read_as_django_reads_them():
    chance, read = random.Random(1), 0
    for _ in range(600):
        body = bytearray(WHOLE)
        for _ in range(chance.randint(1, 2)):
            place = chance.randrange(len(body))
            body[place : place + chance.choice([0, 0, 0, 3])] = chance.choice(ODD)
        plain = carrier_events._plain_multipart(bytes(body), CUT)
        if plain is not None:
            read += 1
            assert plain == by_django(bytes(body)), bytes(body)
    assert read > 60
