"""Published clients of Exotel, unchanged, against a running Trunkline.

`exotelpy` 0.1.1 speaks the Campaigns API; `baseurl` is all that a program which uses it has to change. Its methods for
SMS and WhatsApp campaigns and `get_exophone_heartbeat` are outside this server's scope.

`exotel` 0.1.5 is older and speaks only v1, the API that places one call. Trunkline does not serve v1, but uses it
towards carriers. That client is pointed at the sandbox, and shows that the stand-in works with somebody else's client.
"""

import itertools
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import exotel.exotel
import exotelpy
import pytest
from exotelpy import exceptions
from exotelpy.exotel import Retry, Schedule

CALLER_ID = "+918044440000"
NUMBERS = [f"+9198{66_000_000 + n:08d}" for n in range(3)]
FLOW = {"steps": [{"say": "Hello."}]}
PATIENCE_SECONDS = 240


@pytest.fixture(scope="module")
def client(stack, tmp_path_factory):
    return client_of(stack, "published", tmp_path_factory.mktemp("flow"))


def client_of(stack, sid, folder, *options):
    """Create an account with a caller ID and flow 7. Returns exotelpy, signed in as it."""
    made = json.loads(
        stack.manage(
            *("create_account", sid, "--json", "--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00"), *options
        )
    )
    (folder / "flow.json").write_text(json.dumps(FLOW))
    stack.manage("create_flow", sid, "7", "--file", str(folder / "flow.json"))
    return exotelpy.Exotel(sid, made["api_key"], made["api_token"], baseurl=stack.url)


@pytest.fixture
def waiting(client):
    """Create a campaign that starts tomorrow, with every argument that the client has."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    response = client.create_campaign(
        caller_id=CALLER_ID,
        app_id="7",
        from_=[*NUMBERS, NUMBERS[0]],
        name=f"by exotelpy {next(serial)}",
        call_duplicate_numbers=True,
        schedule=Schedule(send_at=tomorrow, end_at=tomorrow + timedelta(hours=2)),
        call_status_callback="https://example.org/call",
        call_schedule_callback="https://example.org/number",
        status_callback="https://example.org/campaign",
        retry=Retry(2, 10, ["busy", "no-answer"], "Exponential"),
    )
    return response["response"][0]["data"]


serial = itertools.count()


def test_create_campaign_with_every_argument(waiting):
    assert waiting["from"] == [*NUMBERS, NUMBERS[0]]
    assert waiting["status"] == "Created"
    assert waiting["retries"] == {
        "number_of_retries": 2,
        "interval_mins": 10,
        "mechanism": "Exponential",
        "on_status": ["busy", "no-answer"],
    }
    assert waiting["status_callback"] == "https://example.org/campaign"


def test_get_campaign_details(client, waiting):
    [item] = client.get_campaign_details(waiting["id"])["response"]
    assert (item["code"], item["status"], item["data"]["id"]) == (200, "success", waiting["id"])


def test_get_bulk_campaign_details_with_every_filter(client, waiting):
    response = client.get_bulk_campaign_details(
        offset=0, limit=5, name=waiting["name"], status="Created", sort_by="date_created:desc"
    )
    assert [item["data"]["id"] for item in response["response"]] == [waiting["id"]]
    assert response["metadata"] == {"count": 1, "offset": 0, "total": 1, "limit": 5}
    assert client.get_bulk_campaign_details()["metadata"]["limit"] == 20


def test_delete_campaign(client, waiting):
    client.delete_campaign(waiting["id"])
    assert client.get_campaign_details(waiting["id"])["response"][0]["data"]["status"] == "Deleted"


def test_a_campaign_without_a_schedule_is_dialled_and_its_calls_are_listed(stack, client):
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 0.1}]})
    made = client.create_campaign(caller_id=CALLER_ID, app_id="7", from_=NUMBERS)["response"][0]["data"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.get_campaign_details(made["id"])["response"][0]["data"]["status"] != "Completed":
        assert time.monotonic() < deadline, "the campaign has not completed"
        time.sleep(0.5)
    response = client.get_campaign_call_details(
        made["id"], offset=0, limit=10, status="completed", sort_by="date_created:asc"
    )
    assert sorted(item["data"]["number"] for item in response["response"]) == NUMBERS


def test_exophones(client):
    [phone] = client.get_all_exophones()["incoming_phone_numbers"]
    assert phone["phone_number"] == CALLER_ID
    assert client.get_exophone_details(phone["sid"]) == phone


# Contacts and lists ---------------------------------------------------------------------------------------------------


def test_contacts_are_created_read_and_deleted(client):
    numbers = ["+919867000001", "+919867000002"]
    sids = [item["data"]["sid"] for item in client.create_contacts(numbers)["response"]]
    shown = [client.get_contact_details(sid)["response"][0]["data"]["number"] for sid in sids]
    assert shown == numbers
    client.delete_contacts(sids)
    with pytest.raises(exceptions.NotFound):
        client.get_contact_details(sids[0])


def test_a_list_is_created_with_its_contacts_read_and_deleted(client):
    numbers = ["+919867000003", "+919867000004"]
    added = client.create_list("by exotelpy", tag="a tag", numbers=numbers)
    assert added["metadata"]["success"] == added["metadata"]["total"] == 2
    list_id = added["response"][0]["data"]["list_id"]
    assert client.get_list_details(list_id)["response"][0]["data"]["name"] == "by exotelpy"
    found = client.get_bulk_lists(offset=0, limit=5, name="by exotelpy", sort_by="date_created:desc")
    assert [item["data"]["sid"] for item in found["response"]] == [list_id]
    assert len(client.get_list_contacts(list_id, limit=5, offset=0)["response"]) == 2
    client.delete_list(list_id)
    with pytest.raises(exceptions.NotFound):
        client.get_list_details(list_id)


def test_a_second_list_of_the_same_name_raises_its_unique_violation(client):
    client.create_list("only one")
    with pytest.raises(exceptions.UniqueViolationError):
        client.create_list("only one")


def test_contacts_that_exist_already_go_into_another_list(client):
    for name in ("first list", "second list"):
        added = client.create_list(name, numbers=["+919867000005"])
        assert added["metadata"]["success"] == 1


def test_create_campaign_with_list(client):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    response = client.create_campaign_with_list(
        ["+919867000006", "+919867000007"],
        "of a campaign",
        CALLER_ID,
        "7",
        schedule=Schedule(tomorrow, tomorrow + timedelta(hours=1)),
    )
    [item] = response["response"]
    assert item["data"]["status"] == "Created"
    assert item["summary"]["call_scheduled"] == 2


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
def test_the_list_of_a_refused_campaign_is_deleted_again(client):
    with pytest.raises(exceptions.ValidationError, match="not a caller ID"):
        client.create_campaign_with_list(["+919867000008"], "of no campaign", "+918099999999", "7")
    assert client.get_bulk_lists(name="of no campaign")["response"] == []


# Exceptions -----------------------------------------------------------------------------------------------------------


def test_a_refused_number_raises_its_validation_error_with_our_sentence(client):
    with pytest.raises(exceptions.ValidationError, match=r"\+9112345678901 is not a valid number"):
        client.create_campaign(caller_id=CALLER_ID, app_id="7", from_=["+9112345678901"])


def test_unknown_ids_raise_its_not_found(client):
    with pytest.raises(exceptions.NotFound, match="there is no campaign nowhere"):
        client.get_campaign_details("nowhere")
    with pytest.raises(exceptions.NotFound, match="there is no ExoPhone 1"):
        client.get_exophone_details("1")


def test_wrong_credentials_raise_its_authentication_failed(stack):
    stranger = exotelpy.Exotel("published", "nobody", "nothing", baseurl=stack.url)
    for call in (stranger.get_bulk_campaign_details, stranger.get_all_exophones):
        with pytest.raises(exceptions.AuthenticationFailed, match="wrong credentials"):
            call()


def test_of_30_requests_at_once_exactly_the_limit_of_20_succeed_and_the_rest_raise_its_throttled(stack, tmp_path):
    client = client_of(stack, "hasty", tmp_path, "--requests-per-minute", "20")

    def ask(_):
        try:
            return client.get_bulk_campaign_details()["http_code"]
        except exceptions.Throttled:
            return 429

    # Of a web process two requests of an account are at work, and two may wait for them.
    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(ask, range(30))) == {200: 20, 429: 10}


# v1 -------------------------------------------------------------------------------------------------------------------


def test_exotel_0_1_5_places_a_call_into_a_flow_at_the_sandbox_and_reads_it(stack):
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 0.1}]})
    client = exotel.exotel.Exotel("published", "token", baseurl=f"{stack.sandbox_url}/")
    placed = client.call_flow("+919866999999", CALLER_ID, 7)
    assert placed.status_code == 200, placed.text
    sid = placed.json()["Call"]["Sid"]
    assert client.call_details(sid).json()["Call"]["Sid"] == sid
    [ring] = stack.rings(number="+919866999999")["rings"]
    assert ring["call_sid"] == sid
