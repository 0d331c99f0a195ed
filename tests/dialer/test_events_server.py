"""The server of carriers' events, over real HTTP: 204 means stored, and nobody can hold up anybody else."""

import json
import socket
import time
from contextlib import closing
from threading import Event
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from structlog.testing import capture_logs

from dialer import event_batches, event_bodies, event_signatures, events_server, links, messages
from dialer.carriers import signatures
from dialer.models import CarrierEvent
from tests.dialer.events_server import JSON, Response, Served, head, held_inbox, in_threads, path_of
from tests.factories import TrunkFactory

BUSY = b'{"Status": "busy"}'
FORM = b'--cut\r\nContent-Disposition: form-data; name="Status"\r\n\r\nbusy\r\n--cut--\r\n'
MULTIPART = "multipart/form-data; boundary=cut"
URLENCODED = "application/x-www-form-urlencoded"


@pytest.fixture
def served(transactional_db, redis, monkeypatch):
    """Start a server that waits for a commit as long as a busy machine may need."""
    monkeypatch.setattr(event_batches, "WAITS_AT_MOST", 60.0)
    made = Served()
    yield made
    made.stop()


@pytest.fixture
def path():
    return path_of(uuid4())


def stored() -> int:
    return CarrierEvent.objects.count()


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def is_closed(wire):
    """Wait for the end of the connection."""
    try:
        return wire.recv(100) == b""
    except ConnectionResetError:
        return True


def waiting(served, events):
    """Wait until so many events wait for the commit after the one that is under way."""
    wait_until(lambda: len(served.events._waiting) == events, f"{events} events did not come")


# What is taken and what is refused -----------------------------------------------------------------------------------


def test_forms_and_json_are_stored_as_they_came(served, path):
    chunks = iter([BUSY[:5], BUSY[5:]])
    for body, kind in ((BUSY, JSON), (b"Status=busy", URLENCODED), (FORM, MULTIPART), (chunks, JSON)):
        response = served.post(path, body, kind)
        assert (response.status, response.text) == (204, "")
    assert [event.payload for event in CarrierEvent.objects.all()] == [{"Status": "busy"}] * 4


CASES = {
    "json": (BUSY, JSON, {}),
    "json with a charset": (BUSY, f"{JSON}; charset=utf-8", {}),
    "urlencoded": (b"Status=busy&Status=completed&a=%ff", URLENCODED, {}),
    "multipart": (FORM, MULTIPART, {}),
    "multipart with a type": (FORM.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n", 1), MULTIPART, {}),
    "multipart in base64": (
        FORM.replace(b"\r\n\r\nbusy", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nYnVzeQ=="),
        MULTIPART,
        {},
    ),
    "multipart with lone line feeds": (FORM.replace(b"\r\n", b"\n"), MULTIPART, {}),
    "multipart with a file": (FORM.replace(b'"Status"', b'"f"; filename="f"', 1), MULTIPART, {}),
    "multipart without a boundary": (FORM, "multipart/form-data", {}),
    "multipart that is cut off": (FORM[:-20], MULTIPART, {}),
    "nothing": (b"", JSON, {}),
    "a list": (b"[]", JSON, {}),
    "half a document": (b"{", JSON, {}),
    "deep": (b"[" * 100_000, JSON, {}),
    "odd numbers": (b'{"Status": "busy", "x": 1e999, "y": NaN}', JSON, {}),
    "a long integer": (b'{"Status": "busy", "x": ' + b"9" * 5000 + b"}", JSON, {}),
    "surrogates": (b'{"Status": "busy", "x": "\\u0000\\ud800"}', JSON, {}),
    "another type": (BUSY, "text/plain", {}),
    "no type": (BUSY, "", {}),
    "an odd type": (BUSY, 'multipart/form-data; boundary="', {}),
    "a thousand fields": (b"&".join(b"a%d=1" % n for n in range(1001)), URLENCODED, {}),
    "another host": (BUSY, JSON, {"Host": "elsewhere.example"}),
    "too large": (b" " * 2_000_001, JSON, {}),
}


@pytest.mark.parametrize(("body", "kind", "headers"), CASES.values(), ids=CASES)
def test_the_web_process_gives_the_same_answers(served, client, path, body, kind, headers):
    ours = served.post(path, body, kind, **headers)
    kept = list(CarrierEvent.objects.values_list("payload", flat=True))
    CarrierEvent.objects.all().delete()
    theirs = client.post(path, body, kind, headers=headers)
    assert ours.status == theirs.status_code
    assert kept == list(CarrierEvent.objects.values_list("payload", flat=True))


ADDRESSES = {
    "no token": lambda path: path.partition("?")[0],
    "a wrong token": lambda path: path[:-1] + ("0" if path[-1] != "0" else "1"),
    "another attempt": lambda path: f"/carrier-events/exotel/{uuid4().hex}?{path.partition('?')[2]}",
    "another carrier": lambda path: path.replace("/exotel/", "/sandbox/"),
    "an unknown carrier": lambda path: path.replace("/exotel/", "/nobody/"),
    "no attempt": lambda path: path.replace("/exotel/", "/exotel/x"),
    "elsewhere": lambda path: "/nowhere",
}


@pytest.mark.parametrize("changed", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_was_not_given_out_is_refused_as_by_web(served, client, path, changed):
    ours, theirs = served.post(changed(path), BUSY), client.post(changed(path), BUSY, JSON)
    assert ours.status == theirs.status_code
    assert ours.status in {403, 404}
    assert stored() == 0


@pytest.mark.parametrize(("key", "status"), [("the account's token", 204), ("another key", 403), (None, 403)])
def test_an_event_of_a_carrier_that_signs_needs_its_signature_as_at_web(served, client, key, status):
    event_signatures.keys.forget()
    account = {"base_url": "https://a.example", "account_sid": "AC1", "api_key": "AC1"}
    TrunkFactory(carrier="twilio", api_token="the account's token", **account)
    address = links.events_url("twilio", uuid4())
    signed = signatures.twilios(key, address, {"CallStatus": ["ringing"]}) if key else ""
    path = address.removeprefix(settings.EVENTS_URL)
    body, headers = b"CallStatus=ringing", {"X-Twilio-Signature": signed}
    assert served.post(path, body, URLENCODED, **headers).status == status
    assert client.post(path, body, URLENCODED, headers=headers).status_code == status
    assert stored() == 2 * (status == 204)


def test_only_post_is_taken(served, path):
    response = served.post(path, None, method="GET")
    assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(("proto", "status"), [("https", 204), ("http", 301), (None, 301)])
def test_where_carriers_are_given_https_nothing_else_is_taken(served, path, settings, proto, status):
    settings.EVENTS_URL, settings.BEHIND_TLS_PROXY = "https://trunkline.example", True
    headers = {"X-Forwarded-Proto": proto} if proto else {}
    assert served.post(path, BUSY, **headers).status == status
    assert stored() == (status == 204)


def test_a_refusal_is_logged_without_the_token(served, path):
    with capture_logs() as logged:
        served.post(path, b"{")
    (refused,) = [entry for entry in logged if entry["event"] == "event_refused"]
    assert (refused["status"], refused["ip"]) == (400, "127.0.0.1")
    assert path.partition("token=")[2] not in str(logged)


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_no_http_is_a_bad_request(served, caplog, sent):
    with closing(served.open(sent)) as wire:
        wire.shutdown(socket.SHUT_WR)
        assert wire.recv(100)[:12] in {b"HTTP/1.0 400", b"HTTP/1.1 400", b""}
    assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


def test_malformed_chunks_are_a_bad_request(served, path):
    with closing(served.open(head(path, Transfer_Encoding="chunked") + b"zz\r\n{}\r\n0\r\n\r\n")) as wire:
        assert Response.read_from(wire).status == 400
    assert stored() == 0


def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(served, path):
    with closing(served.open(head(path, Expect="100-continue", Content_Length=len(BUSY)))) as wire:
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(BUSY)
        assert Response.read_from(wire).status == 204


# One commit for many -------------------------------------------------------------------------------------------------


def test_events_that_come_during_a_commit_share_the_next_one(served):
    statuses = []
    with held_inbox() as let_go:
        threads = in_threads(1, lambda _: statuses.append(served.post(path_of(uuid4()), BUSY).status))
        wait_until(lambda: served.events.storing_since, "the first commit did not begin")
        threads += in_threads(8, lambda _: statuses.append(served.post(path_of(uuid4()), BUSY).status))
        waiting(served, 8)
        assert statuses == [], "told that they are stored before they are"
        let_go()
        for thread in threads:
            thread.join()
    assert statuses == [204] * 9
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dialer_carrierevent GROUP BY xmin::text ORDER BY 1")
        assert cursor.fetchall() == [(1,), (8,)]


def test_an_event_that_the_database_refuses_costs_no_other_of_its_commit(served):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF NEW.payload ? 'poison' THEN PERFORM 1 / 0; END IF; RETURN NEW; END $$;
            CREATE TRIGGER stumble BEFORE INSERT ON dialer_carrierevent FOR EACH ROW EXECUTE FUNCTION stumble();
            """
        )
    statuses = {}
    bodies = [BUSY, b'{"poison": 1}', BUSY]
    try:
        with held_inbox() as let_go:
            threads = in_threads(1, lambda _: served.post(path_of(uuid4()), BUSY))
            wait_until(lambda: served.events.storing_since, "the first commit did not begin")
            threads += in_threads(3, lambda n: statuses.update({n: served.post(path_of(uuid4()), bodies[n]).status}))
            waiting(served, 3)
            let_go()
            for thread in threads:
                thread.join()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION stumble CASCADE")
    assert statuses == {0: 204, 1: 500, 2: 204}
    assert stored() == 3


def test_events_that_come_soon_after_a_commit_share_the_next_one(served, path, monkeypatch):
    monkeypatch.setattr(event_batches, "STORES_EVERY", ((0, 3600.0),))
    monkeypatch.setattr(event_batches, "BATCH", 3)
    assert served.post(path, BUSY).status == 204, "the first one is stored at once"
    statuses = []
    for thread in in_threads(3, lambda _: statuses.append(served.post(path, BUSY).status)):
        thread.join()
    assert statuses == [204] * 3, "a full batch does not wait"
    assert len(set(CarrierEvent.objects.values_list("received_at"))) == 2


def test_carriers_do_not_wait_for_redis(served, path, monkeypatch):
    """Of the events that come while one message is on its way, another message tells."""
    let_go, asked = Event(), []

    def enqueue():
        asked.append(1)
        let_go.wait(60)

    monkeypatch.setattr(messages, "enqueue_settle", enqueue)
    try:
        assert served.post(path, BUSY).status == 204
        wait_until(lambda: asked, "the first event was not told of")
        assert [served.post(path, BUSY).status for _ in range(3)] == [204] * 3
        assert len(asked) == 1
    finally:
        let_go.set()
    wait_until(lambda: len(asked) == 2, "the later events were not told of")


def test_ends_that_come_soon_after_a_message_share_the_next_one(transactional_db, redis, path, monkeypatch):
    asked = []
    monkeypatch.setattr(messages, "enqueue_settle", lambda: asked.append(1))
    monkeypatch.setattr(event_batches, "RINGS_EVERY", 3600.0)
    monkeypatch.setattr(event_batches, "WAITS_AT_MOST", 60.0)
    served = Served()
    try:
        assert [served.post(path, BUSY).status for _ in range(4)] == [204] * 4
        wait_until(lambda: asked, "the first end was not told of at once")
    finally:
        served.stop()
    assert len(asked) == 2, "one message for the first end, and at the stop one for the three others"


def test_the_more_events_come_in_a_second_the_longer_they_wait_for_others(served, path, monkeypatch):
    monkeypatch.setattr(event_batches, "STORES_EVERY", ((0.001, 3600.0), (0, 0.0)))
    monkeypatch.setattr(event_batches, "BATCH", 3)
    assert served.post(path, BUSY).status == 204, "nothing is known of a rate before the first one"
    assert served.post(path, BUSY).status == 204, "so the second one is stored at once, too"
    statuses = []
    threads = in_threads(1, lambda _: statuses.append(served.post(path, BUSY).status))
    waiting(served, 1)
    threads += in_threads(2, lambda _: statuses.append(served.post(path, BUSY).status))
    for thread in threads:
        thread.join()
    assert statuses == [204] * 3, "a full batch does not wait"


def test_news_of_an_answer_delays_the_message_of_no_end(served, path, monkeypatch):
    asked = []
    monkeypatch.setattr(messages, "enqueue_settle", lambda: asked.append(1))
    monkeypatch.setattr(event_batches, "RINGS_EVERY", 3600.0)
    assert served.post(path, b'{"Status": "in-progress"}').status == 204
    assert served.post(path, BUSY).status == 204
    wait_until(lambda: asked, "the end was not told of at once")


# The database is away ------------------------------------------------------------------------------------------------


def refuse_connections(refuse):
    """Let nobody connect to the tests' database, and end the connections of others; or let them connect again."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_database SET datallowconn = %s WHERE datname = current_database()", [not refuse])
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_lost_connection_costs_no_event(served, path):
    assert served.post(path, BUSY).status == 204
    refuse_connections(False)
    assert served.post(path, BUSY).status == 204
    assert stored() == 2


def test_while_the_database_is_away_the_carrier_is_told_to_send_again(served, path, monkeypatch):
    monkeypatch.setattr(event_batches, "WAITS_AT_MOST", 0.3)
    refuse_connections(True)
    try:
        response = served.post(path, BUSY)
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    finally:
        refuse_connections(False)
    monkeypatch.undo()
    assert stored() == 0
    assert served.post(path, BUSY).status == 204
    assert stored() == 1, "what was not acknowledged in time is not stored afterwards"


def test_an_event_waits_for_a_database_that_comes_back(served, path):
    refuse_connections(True)
    statuses = []
    try:
        threads = in_threads(1, lambda _: statuses.append(served.post(path, BUSY).status))
        wait_until(lambda: served.events.failures, "no try failed")
    finally:
        refuse_connections(False)
    threads[0].join()
    assert statuses == [204]


# Slow, large and many ------------------------------------------------------------------------------------------------


def test_half_sent_bodies_and_headers_hold_up_nobody(served, path):
    wires = [served.open(head(path, Content_Length=1000) + b"{") for _ in range(50)]
    wires += [served.open(head(path)[:-10]) for _ in range(50)]
    assert served.post(path, BUSY).status == 204
    for wire in wires:
        wire.close()
    assert stored() == 1


def test_a_body_that_takes_too_long_is_given_up(served, path, monkeypatch):
    monkeypatch.setattr(served._server._bodies, "_seconds", 0.1)
    with closing(served.open(head(path, Content_Length=1000) + b"{")) as wire:
        assert Response.read_from(wire).status == 408


def test_headers_that_take_too_long_end_the_connection(transactional_db, monkeypatch):
    monkeypatch.setattr(events_server, "IDLE_SECONDS", 0.1)
    served = Served()
    try:
        with closing(served.open(b"POST /carrier-events/ HTTP/1.1\r\nHost: 127")) as wire:
            assert is_closed(wire)
    finally:
        served.stop()


def test_a_length_that_is_too_large_is_refused_before_any_of_it_has_come(served, path):
    with closing(served.open(head(path, Content_Length=300_000_000))) as wire:
        assert Response.read_from(wire).status == 413


def test_a_body_in_chunks_that_is_too_large_is_refused_and_the_client_reads_why(served, path):
    response = served.post(path, iter([b" " * 500_000] * 6))
    assert response.status == 413
    assert "larger than 2,000,000 bytes" in response.text


def test_without_the_token_no_body_is_read(served, path):
    with closing(served.open(head(path[:-1], Content_Length=1000))) as wire:
        assert Response.read_from(wire).status == 403


def test_the_bytes_of_all_bodies_are_bounded(served, path, monkeypatch):
    monkeypatch.setattr(event_bodies, "MOST_BYTES", 200)
    assert served.post(path, BUSY).status == 204
    with closing(served.open(head(path, Content_Length=1000) + b" " * 190)):
        wait_until(lambda: served._server._bodies._held == 190, "the first body did not come")
        assert served.post(path, BUSY).status == 503
    wait_until(lambda: served._server._bodies._held == 0, "a client that has gone still holds bytes")
    assert served.post(path, BUSY).status == 204


def test_too_many_connections_cost_the_oldest_that_waits_for_no_commit(served, path, monkeypatch):
    monkeypatch.setattr(events_server, "MOST_CONNECTIONS", 3)
    statuses = []
    with held_inbox() as let_go:
        threads = in_threads(1, lambda _: statuses.append(served.post(path, BUSY).status))
        wait_until(lambda: served.events.storing_since, "the event did not come")
        idle = [served.open(b"POST") for _ in range(3)]
        assert is_closed(idle[0]), "the oldest idle one is open"
        let_go()
        threads[0].join()
    assert statuses == [204]
    for wire in idle:
        wire.close()


def test_health(served):
    assert json.loads(served.post("/healthz", None, method="GET").text) == {"status": "up"}
