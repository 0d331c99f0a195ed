"""From a CSV file to the last call of a dynamic campaign, over real processes."""

import csv
import io
import time

import pytest
import requests

PATIENCE_SECONDS = 240
PEOPLE = {"+919880000001": "Asha", "+919880000002": "Bilal", "+919880000003": "Chitra"}


@pytest.fixture(scope="module")
def client(stack):
    options = ["--caller-id", "08012341111", "--calling-hours", "00:00-24:00", "--starts-per-minute", "60000"]
    return stack.create_account("lister", *options, "--requests-per-minute", "100000")


def wait_until(is_done, fetch):
    """Return what `fetch` returns as soon as `is_done` accepts it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        fetched = fetch()
        if is_done(fetched):
            return fetched
        time.sleep(0.1)
    pytest.fail(f"it did not happen in time: {fetched}")


@pytest.fixture(scope="module")
def uploaded(client):
    """Upload three people and one invalid row. Returns the final state of the upload."""
    rows = (
        "\ufeffnumber;Child\r\n"
        + "".join(f"{number};{name}\r\n" for number, name in PEOPLE.items())
        + "12345;Nobody\r\n"
    )
    form = {"list_name": "class 7", "type": "dynamic"}
    response = client.session.post(
        f"{client.base}/contacts/csv-upload", data=form, files={"file_name": rows.encode()}, timeout=60
    )
    summary = response.json()["response"]["data"]["summary"]

    def status():
        return client.session.get(summary["url"], timeout=60).json()["response"]["data"]

    return wait_until(lambda data: data["status"] != "in-progress", status)


def test_the_file_is_loaded_and_its_bad_row_can_be_fetched_with_line_and_reason(client, uploaded):
    assert uploaded["status"] == "completed"
    assert uploaded["stats"] == {"total": 4, "success": 3, "duplicate": 0, "failed": 1, "replaced": 0}
    rejected = client.session.get(uploaded["rejected_rows_url"], timeout=60).text
    assert "5" in rejected
    assert "12345" in rejected


def test_every_person_of_the_list_is_called_once(stack, client, uploaded):
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 0.2, "digits": "1"}]})
    created = client.post_campaign(
        {
            "name": "by name",
            "caller_id": "08012341111",
            "lists": [uploaded["list_sid"]],
            "campaign_type": "dynamic",
            "flow_type": "ivr",
            "read_via_text": "@@Child is absent today. Press 1 if you know.",
        }
    )
    ended = wait_until(lambda campaign: campaign["report_url"], lambda: client.campaign(created["id"]))
    assert (ended["status"], ended["stats"]["completed"]) == ("Completed", 3)
    rings = stack.rings(caller_id="+918012341111")["rings"]
    assert sorted(ring["number"] for ring in rings) == sorted(PEOPLE)
    report = csv.DictReader(io.StringIO(requests.get(ended["report_url"], timeout=60).text))
    assert {(line["number"], line["digits"]) for line in report} == {(number, "1") for number in PEOPLE}
