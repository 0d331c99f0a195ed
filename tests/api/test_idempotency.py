"""Idempotency-Key: a request sent twice is done once, and both responses are the same."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone
from rest_framework.response import Response

from api.campaigns import views
from api.http import idempotency, old_responses
from api.http.account_view import AccountView
from api.models import IdempotentRequest
from api.tasks import purge_idempotency_keys
from campaigns.models import Campaign
from tests.api.client import NUMBERS, campaign, stored
from tests.factories import AccountFactory

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def create(api, key="order-7", **changes):
    return api.post("/campaigns", {"campaigns": [campaign(**changes)]}, headers={"idempotency-key": key})


def was_replayed(response) -> bool:
    return bool(response.headers.get("Idempotent-Replayed") == "true")


class TestSentTwice:
    def test_it_is_done_once_and_both_get_the_first_response(self, api):
        first, second = create(api), create(api)
        assert stored() == (1, len(NUMBERS))
        assert first.status == second.status == 200
        assert first.envelope == second.envelope
        assert [was_replayed(first), was_replayed(second)] == [False, True]

    def test_the_response_is_the_first_one_whatever_has_become_of_the_campaign_since(self, api):
        first = create(api)
        Campaign.objects.update(name="renamed")
        assert create(api).data["name"] == first.data["name"]

    def test_without_the_header_it_is_done_twice(self, api):
        api.create()
        api.create()
        assert Campaign.objects.count() == 2

    def test_with_another_key_it_is_done_twice(self, api):
        create(api, "one")
        create(api, "two")
        assert Campaign.objects.count() == 2

    def test_another_account_s_key_of_the_same_name_is_another_key(self, api, other):
        create(api)
        theirs = create(other, caller_id="+918047110000", url="http://my.exotel.com/umbrella/exoml/start_voice/666")
        assert theirs.data["account_sid"] == "umbrella"
        assert not was_replayed(theirs)

    def test_with_another_body_it_is_refused_and_nothing_is_done(self, api):
        create(api)
        assert create(api, numbers=["+919810099999"]).is_refused(422, "Idempotency-Key", "use a new key")
        assert stored() == (1, len(NUMBERS))

    def test_a_body_that_only_looks_different_is_the_same(self, api):
        create(api)
        spread_out = json.dumps({"campaigns": [dict(reversed(campaign().items()))]}, indent=4).encode()
        assert was_replayed(api.post("/campaigns", spread_out, headers={"idempotency-key": "order-7"}))


@pytest.mark.parametrize("key", ["", "k" * 256, "bell\x07", "schlüssel", "ключ"])
def test_an_invalid_key_is_refused(api, key):
    raw = key.encode().decode("latin-1")  # as servers decode the bytes of a header
    response = api.post("/campaigns", campaign(), HTTP_IDEMPOTENCY_KEY=raw)
    assert response.is_refused(400, "Idempotency-Key", "1 to 255 printable ASCII characters")
    assert stored() == (0, 0)


@pytest.mark.parametrize("key", ["k", "k" * 255, "with blanks, and {punctuation}~"])
def test_any_printable_ascii_is_a_key(api, key):
    assert create(api, key).status == 200
    assert was_replayed(create(api, key))


class TestAfterADay:
    def test_the_key_is_free_again(self, api, time_machine):
        time_machine.move_to(START, tick=False)
        first = create(api)
        time_machine.shift(timedelta(hours=24) - timedelta(seconds=1))
        assert was_replayed(create(api))
        time_machine.shift(timedelta(seconds=1))
        second = create(api)
        assert not was_replayed(second)
        assert second.data["id"] != first.data["id"]
        assert create(api).envelope == second.envelope

    def test_the_key_may_come_with_another_body(self, api, time_machine):
        time_machine.move_to(START, tick=False)
        create(api)
        time_machine.shift(timedelta(hours=24))
        assert create(api, numbers=["+919810099999"]).status == 200

    def test_the_purge_deletes_responses_that_are_no_longer_replayed(self, db, monkeypatch):
        monkeypatch.setattr(old_responses, "PURGE_BATCH", 2)
        account = AccountFactory()
        for hours in (0, 24, 25, 26, 48):
            created_at = timezone.now() - timedelta(hours=hours, seconds=1)
            IdempotentRequest.objects.create(
                account=account, key=str(hours), request_digest="0", status=200, response="{}", created_at=created_at
            )
        purge_idempotency_keys()
        assert sorted(IdempotentRequest.objects.values_list("key", flat=True)) == ["0", "24"]


class TestARefusedRequest:
    """A refused request has done nothing, so its key is still free."""

    def test_may_be_corrected_and_sent_again_under_its_key(self, api):
        assert create(api, numbers=["12"]).status == 400
        assert create(api).status == 200

    def test_is_refused_again_when_it_comes_again(self, api):
        first, second = create(api, numbers=["12"]), create(api, numbers=["12"])
        assert first.description == second.description
        assert not was_replayed(second)
        assert not IdempotentRequest.objects.exists()


def test_a_handler_that_returns_an_error_instead_of_raising_it_leaves_its_key_free_too(api, rf):
    class Refusing(AccountView):
        @idempotency.idempotent
        def post(self, request, account_sid):
            return Response({}, status=409)

    request = rf.post("/", b"{}", "application/json", headers={**api.headers, "idempotency-key": "order-7"})
    assert Refusing.as_view()(request, account_sid="acme").status_code == 409
    assert not IdempotentRequest.objects.exists()


def test_only_create_heeds_the_header(api):
    row = Campaign.objects.get(pk=create(api).data["id"])
    for _ in range(2):
        changed = api.put(f"/campaigns/{row.pk.hex}", {"name": "renamed"}, headers={"idempotency-key": "order-7"})
        assert changed.data["name"] == "renamed"


# Over real transactions -----------------------------------------------------------------------------------------------


class Gate:
    """Stops a create at its end, when all rows are written and nothing is committed."""

    def __init__(self, monkeypatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.error: Exception | None = None
        render = views._written

        def held(*args, **options):
            if not self.reached.is_set():
                self.reached.set()
                assert self.opened.wait(60)
                if self.error:
                    raise self.error
            return render(*args, **options)

        monkeypatch.setattr(views, "_written", held)


@pytest.fixture
def gate(transactional_db, monkeypatch):
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 60.0)
    return Gate(monkeypatch)


@pytest.fixture
def pool():
    """Two threads with database connections of their own."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def in_thread(pool, api, **changes):
    def run():
        try:
            return create(api, **changes)
        finally:
            connections.close_all()

    return pool.submit(run)


def wait_until_a_query_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 60
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            )
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    pytest.fail("no query waits for a lock")


def test_a_second_request_waits_for_the_first_that_runs_and_gets_its_response(gate, api, pool):
    first = in_thread(pool, api)
    assert gate.reached.wait(60)
    second = in_thread(pool, api)
    wait_until_a_query_waits_for_a_lock()
    gate.opened.set()
    assert first.result(60).envelope == second.result(60).envelope
    assert [was_replayed(first.result()), was_replayed(second.result())] == [False, True]
    assert stored() == (1, len(NUMBERS))


def test_a_second_request_with_another_body_waits_too_and_is_refused(gate, api, pool):
    first = in_thread(pool, api)
    assert gate.reached.wait(60)
    second = in_thread(pool, api, numbers=["+919810099999"])
    wait_until_a_query_waits_for_a_lock()
    gate.opened.set()
    assert first.result(60).status == 200
    assert second.result(60).status == 422


def test_when_the_first_fails_the_second_that_waits_takes_its_place(gate, api, pool):
    gate.error = RuntimeError("a fault of ours")
    first = in_thread(pool, api)
    assert gate.reached.wait(60)
    second = in_thread(pool, api)
    wait_until_a_query_waits_for_a_lock()
    gate.opened.set()
    assert first.result(60).status == 500
    assert second.result(60).status == 200
    assert not was_replayed(second.result())
    assert stored() == (1, len(NUMBERS))


def test_a_request_that_has_waited_too_long_is_told_that_the_first_still_runs(gate, api, pool, monkeypatch):
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.2)
    first = in_thread(pool, api)
    assert gate.reached.wait(60)
    assert create(api).is_refused(409, "still running", "in a few seconds")
    gate.opened.set()
    assert first.result(60).status == 200
    assert was_replayed(create(api))


def test_a_fault_in_the_middle_leaves_neither_campaign_nor_key(gate, api):
    gate.error = RuntimeError("a fault of ours")
    gate.opened.set()
    assert create(api).status == 500
    assert stored() == (0, 0)
    assert not IdempotentRequest.objects.exists()
    assert create(api).status == 200


def test_a_crash_in_the_middle_leaves_neither_campaign_nor_key(transactional_db, api, pool, monkeypatch):
    """The connection breaks as when the web process dies: after the rows, before the commit."""
    render = views._written

    def dies(*args, **options):
        monkeypatch.setattr(views, "_written", render)
        assert stored() == (1, len(NUMBERS))
        assert IdempotentRequest.objects.exists()
        connection.connection.close()
        return render(*args, **options)

    monkeypatch.setattr(views, "_written", dies)
    assert in_thread(pool, api).result(60).status == 500
    assert stored() == (0, 0)
    assert not IdempotentRequest.objects.exists()
    assert create(api).status == 200


def test_many_at_once_make_one_campaign(transactional_db, api):
    with ThreadPoolExecutor(6) as many:
        responses = [in_thread(many, api) for _ in range(6)]
        envelopes = [response.result(60).envelope for response in responses]
    assert all(envelope == envelopes[0] for envelope in envelopes)
    assert stored() == (1, len(NUMBERS))
