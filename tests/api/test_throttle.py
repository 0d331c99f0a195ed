"""The limit of requests from one account: exact in any minute, over all processes and threads."""

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
import redis
from structlog.testing import capture_logs

from accounts.credentials import create_key
from api.http import rate_limits
from api.http.rate_limits import Meter
from campaigns.models import Campaign
from tests.api.client import Api, campaign
from tests.factories import ACTOR, AccountFactory

pytestmark = pytest.mark.usefixtures("shared_account")

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
NOWHERE = "redis://127.0.0.1:1"


def speaks_for(**columns) -> Api:
    account = AccountFactory(**columns)
    made = create_key(account, actor=ACTOR)
    return Api(account, made.key, made.token)


@pytest.fixture
def three(db):
    """A client that may send three requests a minute."""
    return speaks_for(requests_per_minute=3)


def asks(client: Api, times: int) -> Counter:
    """Send requests and return their statuses: 404 for those that are admitted, as there is no such campaign."""
    return Counter(client.get("/campaigns/x").status for _ in range(times))


@pytest.mark.django_db
def test_by_default_the_201st_request_of_a_minute_is_refused():
    assert asks(speaks_for(), 205) == {404: 200, 429: 5}


def test_a_refused_client_is_told_why_and_when_to_retry_and_nothing_is_stored(three, time_machine):
    time_machine.move_to(START, tick=False)
    asks(three, 3)
    response = three.post("/campaigns", campaign())
    assert response.is_refused(429, "too many requests", "3 a minute", "in 61 s")
    assert response.headers["Retry-After"] == "61"
    assert response.item["error_data"]["message"] == "Too Many Requests"
    assert Campaign.objects.count() == 0


def test_a_client_that_waits_as_long_as_told_is_admitted(three, time_machine):
    time_machine.move_to(START, tick=False)
    asks(three, 3)
    wait = int(three.get("/campaigns").headers["Retry-After"])
    time_machine.shift(wait - 1)
    assert three.get("/campaigns").status == 429
    time_machine.shift(1)
    assert three.get("/campaigns").status == 200


def test_the_window_slides_so_that_no_minute_holds_more_than_the_limit(three, time_machine):
    time_machine.move_to(START, tick=False)
    assert asks(three, 1) == {404: 1}
    time_machine.shift(40)
    assert asks(three, 3) == {404: 2, 429: 1}
    time_machine.shift(21)  # the first has left the minute, the two of 40 s have not
    assert asks(three, 2) == {404: 1, 429: 1}
    time_machine.shift(40)  # and now they have
    assert asks(three, 3) == {404: 2, 429: 1}


def test_refused_requests_are_not_counted(three, time_machine):
    time_machine.move_to(START, tick=False)
    assert asks(three, 10) == {404: 3, 429: 7}
    time_machine.shift(61)
    assert asks(three, 3) == {404: 3}


def test_every_response_says_how_many_requests_are_left_and_when_there_are_more(three, time_machine):
    time_machine.move_to(START, tick=False)
    responses = [
        three.get("/campaigns"),
        three.get("/campaigns/x"),
        three.post("/campaigns", b"{"),
        three.get("/campaigns"),
    ]
    assert [response.status for response in responses] == [200, 404, 400, 429]
    assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["2", "1", "0", "0"]
    assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"3"}
    in_a_minute = str(int((START + timedelta(seconds=60)).timestamp()))
    assert {response.headers["X-RateLimit-Reset"] for response in responses} == {in_a_minute}
    assert ["Retry-After" in response.headers for response in responses] == [False, False, False, True]


def test_one_account_s_requests_leave_another_s_alone(three):
    asks(three, 4)
    assert asks(speaks_for(requests_per_minute=3), 3) == {404: 3}


def test_requests_to_another_accounts_address_count_for_their_sender(three, other):
    for _ in range(3):
        assert three.get("/v2/accounts/umbrella/campaigns").status == 404
    assert three.get("/v2/accounts/umbrella/campaigns").status == 429
    assert other.get("/campaigns").status == 200


def test_all_keys_of_an_account_share_its_limit(three):
    again = create_key(three.account, actor=ACTOR)
    assert asks(three, 2) == {404: 2}
    assert asks(Api(three.account, again.key, again.token), 2) == {404: 1, 429: 1}


def test_a_limit_that_is_raised_counts_at_once(three):
    asks(three, 4)
    three.account.requests_per_minute = 5
    three.account.save()
    assert three.get("/campaigns").headers["X-RateLimit-Limit"] == "5"


# Many at once ---------------------------------------------------------------------------------------------------------

HAMMER = """
import sys
from api.http.rate_limits import Meter
meter = Meter(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(sum(meter.admit("account/of-two", 200).admitted for _ in range(150)))
"""


def test_two_processes_together_let_exactly_as_many_in_as_one():
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, os.environ["REDIS_URL"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    admitted = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(admitted) == 200


def test_many_threads_together_let_exactly_as_many_in_as_one_and_each_sees_another_rest():
    meter = Meter(os.environ["REDIS_URL"])
    with ThreadPoolExecutor(16) as pool:
        admitted = pool.map(lambda _: meter.admit("account/of-many", 100), range(300))
        readings = [reading for reading in admitted if reading]
    assert len(readings) == 300
    assert sum(reading.admitted for reading in readings) == 100
    assert sorted(reading.remaining for reading in readings if reading.admitted) == list(range(100))


def test_a_request_costs_one_trip_to_redis():
    meter = Meter(os.environ["REDIS_URL"])
    meter.admit("account/1", 200)  # the first one connects
    sent = []
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(connection, command, **options):
        sent.append(command)
        return send(connection, command, **options)

    with patch.object(redis.connection.AbstractConnection, "send_packed_command", counted):
        meter.admit("account/1", 200)
    assert len(sent) == 1


# Without Redis --------------------------------------------------------------------------------------------------------


def test_without_redis_everybody_is_let_in_and_the_log_says_so(three, monkeypatch):
    away = Meter(NOWHERE)
    monkeypatch.setattr("api.http.throttling.meter", lambda: away)
    monkeypatch.setattr("api.http.sign_in_limit.meter", lambda: away)
    with capture_logs() as logs:
        assert asks(three, 5) == {404: 5}
    assert [log["log_level"] for log in logs if log["event"] == "requests_not_counted"] == ["warning"]
    assert "X-RateLimit-Limit" not in three.get("/campaigns").headers


def test_a_redis_that_is_away_is_asked_again_after_a_while(monkeypatch):
    monkeypatch.setattr(rate_limits, "REST_SECONDS", 0)
    away = Meter(NOWHERE)
    with capture_logs() as logs:
        assert [away.admit("account/1", 1), away.admit("account/1", 1)] == [None, None]
    assert len(logs) == 2
