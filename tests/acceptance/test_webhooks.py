"""A campaign's webhooks over real processes: all arrive, signed and in order, although the receiver fails once."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.webhook_receiver import Receiver
from tools.stack import Client

ANSWERED, SECOND_TRY, BUSY = NUMBERS = ["+919860000001", "+919860000002", "+919860000003"]
CALLBACKS = ("call_status_callback", "call_schedule_callback", "status_callback")
CALLER_ID = "+918012345670"
SCRIPT = {
    ANSWERED: [{"outcome": "completed", "ring": 0.1, "talk": 0.1}],
    SECOND_TRY: [{"outcome": "busy", "ring": 0.1}, {"outcome": "completed", "ring": 0.1, "talk": 0.1}],
    BUSY: [{"outcome": "busy", "ring": 0.1}],
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def account(stack, tmp_path_factory) -> dict[str, Any]:
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"say": "Good morning."}]}))
    options = ["--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00", "--starts-per-minute", "60000"]
    made: dict[str, Any] = json.loads(stack.manage("create_account", "webhooked", "--json", *options))
    stack.manage("create_flow", "webhooked", "1", "--file", str(flow))
    return made


@pytest.fixture(scope="module")
def client(stack, account) -> Client:
    return Client(stack.url, "webhooked", account["api_key"], account["api_token"])


@pytest.fixture(scope="module")
def payloads(stack, client, account, receiver) -> list[dict[str, Any]]:
    """Run a campaign. Returns the payloads that the receiver got, verified; it refused the first one once."""
    stack.script({"numbers": SCRIPT})
    receiver.responses = [500]
    client.post_campaign(
        {
            "name": "with every callback",
            "caller_id": CALLER_ID,
            "url": "http://my.exotel.com/webhooked/exoml/start_voice/1",
            "from": NUMBERS,
            "retries": {"number_of_retries": 1, "interval_mins": 1},
            **dict.fromkeys(CALLBACKS, receiver.url("/hook")),
        }
    )
    # The start twice, five attempts, three numbers, and the end.
    wait_until(lambda: len(receiver.received) >= 11)
    return [request.verified(account["webhook_secret"]) for request in receiver.received]


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def kind(payload: dict[str, Any]) -> str:
    return "call" if "call_sid" in payload else "number" if "call_sids" in payload else "campaign"


def test_the_start_comes_first_and_is_sent_again_and_the_end_comes_last(payloads):
    assert len(payloads) == 11
    assert payloads.count(payloads[0]) == 2, "again later: the numbers do not wait for it"
    assert (kind(payloads[0]), payloads[0]["status"], payloads[0]["reports"]) == ("campaign", "in-progress", None)
    assert (kind(payloads[-1]), payloads[-1]["status"]) == ("campaign", "completed")
    assert payloads[-1]["reports"] == payloads[-1]["report_url"]


def test_every_attempt_and_number_is_sent_once_and_attempts_before_their_number(payloads):
    calls = [(payload["number"], payload["status"]) for payload in payloads if kind(payload) == "call"]
    numbers = {payload["to"]: payload for payload in payloads if kind(payload) == "number"}
    assert sorted(calls) == sorted(
        [(ANSWERED, "completed"), (SECOND_TRY, "busy"), (SECOND_TRY, "completed"), (BUSY, "busy"), (BUSY, "busy")]
    )
    assert {to: payload["status"] for to, payload in numbers.items()} == {
        ANSWERED: "completed",
        SECOND_TRY: "completed",
        BUSY: "busy",
    }
    for payload in numbers.values():
        before = payloads[: payloads.index(payload)]
        own = [call for call in before if kind(call) == "call" and call["number"] == payload["to"]]
        assert payload["call_sids"] == [{"call_sid": call["call_sid"], "status": call["status"]} for call in own]


def test_the_log_shows_the_refusal_and_a_redelivery_has_the_same_id(client, receiver, payloads):
    def delivered() -> dict[str, Any]:
        found = client.session.get(f"{client.base}/webhook-deliveries?status=delivered", timeout=60).json()
        return dict(found)

    # The receiver counts a request before its response is recorded.
    wait_until(lambda: delivered()["metadata"]["total"] >= 10)
    deliveries = delivered()
    assert deliveries["metadata"]["total"] == 10
    first = deliveries["response"][0]["data"]
    address = f"{client.base}/webhook-deliveries/{first['id']}"
    log = client.session.get(address, timeout=60).json()["response"][0]["data"]["log"]
    assert [entry["http_status"] for entry in log] == [500, 200]
    assert client.session.post(address, timeout=60).status_code == 200
    wait_until(lambda: len(receiver.received) == 12)
    assert receiver.received[-1].headers["webhook-id"] == receiver.received[0].headers["webhook-id"] == first["id"]
