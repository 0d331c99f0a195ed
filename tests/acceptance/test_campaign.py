"""A campaign of 300 numbers over real processes, from the API request to the report, checked against the ring log."""

import csv
import io
import json
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
import requests

CHANNELS = 20
CALLER_ID = "+918012345678"
CUSTOM_FIELD = '{"school": "7"}'
PATIENCE_SECONDS = 240

BUSY_THEN_ANSWERED = [{"outcome": "busy", "ring": 0.3}, {"outcome": "completed", "ring": 0.3, "talk": 0.5}]
BEHAVIOUR = {
    "answered": [{"outcome": "completed", "ring": 0.3, "talk": 0.6, "digits": "1"}],
    "second try": BUSY_THEN_ANSWERED,
    "third try": [{"outcome": "no-answer", "ring": 0.5}, *BUSY_THEN_ANSWERED],
    "busy": [{"outcome": "busy", "ring": 0.2}],
    "no-answer": [{"outcome": "no-answer", "ring": 0.6}],
    "failed": [{"outcome": "failed", "ring": 0.1}],
}
# By behaviour: the final status of the call, its last outcome, and the number of rings with two retries.
EXPECTED = {
    "answered": ("completed", "completed", 1),
    "second try": ("completed", "completed", 2),
    "third try": ("completed", "completed", 3),
    "busy": ("failed", "busy", 3),
    "no-answer": ("failed", "no-answer", 3),
    "failed": ("failed", "failed", 3),
}
KINDS = list(BEHAVIOUR)
# As many as there are channels, of those that answer: they are called first, and talk until the last of them is placed.
TALKERS = range(0, CHANNELS * len(KINDS), len(KINDS))
NUMBERS = {
    f"+9198{20_000_000 + n:08d}": KINDS[n % len(KINDS)] for n in sorted(range(300), key=lambda n: n not in TALKERS)
}
LONG_TALK = [{"outcome": "completed", "ring": 0.3, "talk": 8, "digits": "1"}]
FLOW = {
    "steps": [
        {"say": "Is your child well?"},
        {"gather": {"branches": {"1": [{"say": "Good."}], "2": [{"say": "Get well."}]}, "timeout": 1}},
    ]
}


@pytest.fixture(scope="module")
def client(stack, tmp_path_factory):
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps(FLOW))
    options = ["--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00", "--channels", str(CHANNELS)]
    options += ["--requests-per-minute", "100000"]  # these tests poll more often than a client would
    client = stack.create_account(
        "acme", *options, "--starts-per-minute", "60000", "--api-key", "k", "--api-token", "t"
    )
    stack.manage("create_flow", "acme", "29281", "--file", str(flow))
    return client


@pytest.fixture(scope="module")
def ended(stack, client):
    """Run the campaign to its end and return it."""
    behaviour = {number: BEHAVIOUR[kind] for number, kind in NUMBERS.items()}
    stack.script({"numbers": behaviour | dict.fromkeys(list(NUMBERS)[:CHANNELS], LONG_TALK)})
    campaign = client.post_campaign(
        {
            "name": "health check",
            "caller_id": CALLER_ID,
            "url": "http://my.exotel.com/acme/exoml/start_voice/29281",
            "from": list(NUMBERS),
            "retries": {"number_of_retries": 2, "interval_mins": 1},
            "custom_field": CUSTOM_FIELD,
        }
    )
    return wait(client, campaign["id"])


def wait(client, campaign_id):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        campaign = client.campaign(campaign_id)
        if campaign["report_url"]:
            return campaign
        time.sleep(0.2)
    pytest.fail(f"the campaign has not ended: {campaign['status']} {campaign['stats']}")


@pytest.fixture(scope="module")
def rings(stack, ended):
    return stack.rings(caller_id=CALLER_ID)


@pytest.fixture(scope="module")
def report(ended):
    response = requests.get(ended["report_url"], timeout=60)
    assert response.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.text)))


def test_the_campaign_is_completed_and_its_stats_add_up(ended):
    expected = Counter(EXPECTED[kind][0] for kind in NUMBERS.values())
    assert ended["status"] == "Completed"
    assert {key: count for key, count in ended["stats"].items() if count} == dict(expected)


def test_the_summary_counts_the_calls(client, ended):
    item = client.session.get(f"{client.base}/campaigns/{ended['id']}", timeout=60).json()["response"][0]
    started = sum(EXPECTED[kind][2] for kind in NUMBERS.values())
    assert item["summary"] == {
        "campaign_sid": ended["id"],
        "call_scheduled": 300,
        "call_initialized": started,
        "call_completed": 150,
        "call_failed": 150,
        "call_inprogress": 0,
        "DateCreated": ended["date_created"],
    }


def test_the_report_has_a_line_for_every_number_in_its_order(report, rings):
    attempts = defaultdict(list)
    for ring in rings["rings"]:
        attempts[ring["number"]].append(ring["attempt_id"])
    assert [line["number"] for line in report] == list(NUMBERS)
    for line in report:
        status, outcome, tries = EXPECTED[NUMBERS[line["number"]]]
        assert (line["status"], line["last_outcome"], int(line["attempts"])) == (status, outcome, tries)
        assert line["call_sids"].split() == attempts[line["number"]]
        assert line["caller_id"] == CALLER_ID
        assert line["custom_field"] == CUSTOM_FIELD
        assert line["start_time"] <= line["end_time"]


def test_keys_and_answer_times_are_reported(report, client, ended):
    answered = [line for line in report if NUMBERS[line["number"]] == "answered"]
    assert {line["digits"] for line in answered} == {"1"}
    query = {"status": "completed", "limit": 500}
    response = client.session.get(f"{client.base}/campaigns/{ended['id']}/call-details", params=query, timeout=60)
    details = [item["data"] for item in response.json()["response"]]
    assert len(details) == 150
    assert all(detail["answer_time"] for detail in details)
    assert {detail["digits"] for detail in details if NUMBERS[detail["number"]] == "answered"} == {"1"}


def test_each_attempt_rang_once_and_each_number_as_often_as_its_retries_say(rings):
    assert rings["totals"]["double_rings"] == 0
    tries = Counter(ring["number"] for ring in rings["rings"])
    assert tries == {number: EXPECTED[kind][2] for number, kind in NUMBERS.items()}


def test_never_more_calls_were_up_than_channels_and_all_of_them_were_used(rings):
    assert rings["totals"]["most_at_once"] == CHANNELS


def test_a_retry_came_after_its_wait(rings):
    """The wait is two seconds from the end of the attempt, which the carrier reports in whole seconds."""
    by_number = defaultdict(list)
    for ring in rings["rings"]:
        by_number[ring["number"]].append(ring)
    for tries in by_number.values():
        for before, after in pairwise(tries):
            assert after["start"] - before["end"] >= 1


def test_a_scheduled_campaign_starts_at_its_time_and_never_before(stack, client, ended):
    due = time.time() + 6
    campaign = client.post_campaign(
        {
            "name": "scheduled",
            "caller_id": CALLER_ID,
            "url": "http://my.exotel.com/acme/exoml/start_voice/29281",
            "from": "+919830000001",
            "schedule": {
                "send_at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(due)) + f".{int(due % 1 * 1000):03}Z"
            },
        }
    )
    wait(client, campaign["id"])
    [ring] = stack.rings(number="+919830000001")["rings"]
    # Within a second on an idle machine, as `make bench` measures; a busy one may be late.
    assert 0 <= ring["start"] - (due - 0.001) < 60


def test_call_starts_keep_the_accounts_pace(stack, tmp_path):
    """120 a minute are one every half second, from the moment of the request."""
    client = stack.create_account(
        "slow", "--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00", "--starts-per-minute", "120"
    )
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    stack.manage("create_flow", "slow", "1", "--file", str(tmp_path / "flow.json"))
    stack.script({"default": [{"outcome": "busy", "ring": 0.1}]})
    numbers = [f"+9198{50_000_000 + n:08d}" for n in range(12)]
    url = "http://my.exotel.com/slow/exoml/start_voice/1"
    posted = time.time()
    wait(client, client.post_campaign({"name": "paced", "caller_id": CALLER_ID, "url": url, "from": numbers})["id"])
    starts = sorted(ring["start"] for ring in stack.rings()["rings"] if ring["number"] in set(numbers))
    # A busy machine may place a call late, and then the next one on time: only a call that is early breaks the pace.
    assert all(start - posted > 0.5 * position - 0.1 for position, start in enumerate(starts))
    assert starts[-1] - posted < 40, "twelve calls take six seconds at this pace"


def test_pause_stops_the_dialing_and_resume_goes_on(stack, client, ended):
    numbers = [f"+9198{40_000_000 + n:08d}" for n in range(120)]
    quick, slow = ([{"outcome": "completed", "ring": 0.2, "talk": talk}] for talk in (0.3, 12))
    # The second call of each channel is a long one: a busy machine may pause the campaign late.
    stack.script({"default": quick, "numbers": dict.fromkeys(numbers[CHANNELS : 2 * CHANNELS], slow)})
    campaign = client.post_campaign(
        {
            "name": "paused midway",
            "caller_id": CALLER_ID,
            "url": "http://my.exotel.com/acme/exoml/start_voice/29281",
            "from": numbers,
        }
    )
    address = f"{client.base}/campaigns/{campaign['id']}"
    while not client.campaign(campaign["id"])["stats"]["completed"]:
        time.sleep(0.05)
    paused = client.session.put(address, json={"campaigns": [{"action": "pause"}]}, timeout=60)
    assert paused.json()["response"][0]["data"]["status"] == "Paused"
    # Requests that were on their way may still ring. No call is in progress once they have, and their calls have ended.
    still = until(lambda: client.campaign(campaign["id"])["stats"], lambda stats: not stats["in-progress"])
    assert still["in-progress"] == 0, "calls that were up have finished"
    rings = rings_of(stack, numbers)
    assert 0 < len(rings) < len(numbers)
    time.sleep(2)
    assert len(rings_of(stack, numbers)) == len(rings), "nobody else is called"
    client.session.put(address, json={"action": "resume"}, timeout=60)
    assert wait(client, campaign["id"])["stats"]["completed"] == len(numbers)


def rings_of(stack, numbers):
    return [ring for ring in stack.rings()["rings"] if ring["number"] in set(numbers)]


def until(ask, is_it):
    """Ask until the response is the one that is waited for, and return it: or the last one, after a minute."""
    deadline = time.monotonic() + 60
    while not is_it(told := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return told


def test_the_server_is_up_and_ready(stack):
    assert requests.get(f"{stack.url}/healthz", timeout=60).json() == {"status": "up"}
    ready = {
        "status": "ready",
        "database": "ok",
        "migrations": "ok",
        "secret-key": "ok",
        "redis": "ok",
        "beat": "ok",
        "events": "ok",
        "control": "ok",
        "dispatch": "ok",
        "dial": "ok",
        "recovery": "ok",
        "webhooks": "ok",
        "load": "ok",
        "warnings": [],
    }
    # A worker that a busy machine has held up is silent for a moment.
    assert until(lambda: requests.get(f"{stack.url}/readyz", timeout=60).json(), ready.__eq__) == ready


def test_flower_shows_the_tasks_by_readable_names_and_arguments_with_masked_numbers(stack, ended):
    page = requests.get(f"{stack.flower_url}/tasks", timeout=60)
    assert page.status_code == 200
    query = {"draw": 1, "start": 0, "length": 2000, "search[value]": "", "order[0][column]": 0, "order[0][dir]": "asc"}
    columns = {f"columns[{n}][data]": name for n, name in enumerate(["name", "uuid", "state", "args"])}
    rows = requests.post(f"{stack.flower_url}/tasks/datatable", data=query | columns, timeout=60).json()["data"]
    assert {row["name"] for row in rows} >= {"dialer.dispatch", "dialer.dial", "dialer.settle"}
    dials = [row["args"] for row in rows if row["name"] == "dialer.dial"]
    assert any("attempts: +91" in args for args in dials)
    assert not any(number in args for args in dials for number in NUMBERS)


def test_logs_hold_no_number_and_no_token(stack, ended):
    logs = "".join(log.read_text() for log in (stack.data_dir / "logs").glob("*.log") if log.stem != "sandbox")
    assert "call_attempt_ended" in logs
    assert not any(number in logs for number in NUMBERS)
    assert "token=" not in logs
    assert "signature=" not in logs
