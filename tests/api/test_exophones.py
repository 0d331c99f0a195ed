"""ExoPhones: the caller IDs of an account, in the shape that clients of Exotel's v2_beta read."""

import json

import pytest

from tests.factories import CallerIdFactory

pytestmark = pytest.mark.usefixtures("shared_account")

PATH = "/v2_beta/Accounts/acme/IncomingPhoneNumbers"


def get(api, path=PATH):
    """Return status and body: successful responses of v2_beta have no envelope."""
    response = api.http.get(path, headers=api.headers)
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, json.loads(response.content)


def test_a_caller_id_is_an_exophone(api):
    assert get(api) == (
        200,
        {
            "page": 0,
            "page_size": 50,
            "uri": f"{PATH}?Page=0&PageSize=50",
            "first_page_uri": f"{PATH}?Page=0&PageSize=50",
            "next_page_uri": None,
            "previous_page_uri": None,
            "incoming_phone_numbers": [
                {
                    "sid": "918047113311",
                    "phone_number": "+918047113311",
                    "friendly_name": "08047113311",
                    "capabilities": {"voice": True, "sms": False},
                    "country": "IN",
                    "region": None,
                    "voice_url": None,
                    "sms_url": None,
                    "uri": f"{PATH}/918047113311",
                }
            ],
        },
    )


def test_calls_can_be_placed_from_every_listed_number(api):
    [phone] = get(api)[1]["incoming_phone_numbers"]
    assert api.create(caller_id=phone["phone_number"]).status == 200
    assert api.create(caller_id=phone["friendly_name"]).status == 200


def test_one_is_read_by_its_sid_or_at_its_uri(api):
    [phone] = get(api)[1]["incoming_phone_numbers"]
    assert get(api, f"{PATH}/{phone['sid']}") == get(api, phone["uri"]) == (200, phone)


@pytest.mark.parametrize(
    ("number", "friendly_name", "country"),
    [
        ("+442079460958", "02079460958", "GB"),
        ("+18002255288", "8002255288", "US"),
        ("1408888", "1408888", "IN"),
        ("+999123", "+999123", "IN"),
    ],
)
def test_numbers_of_other_countries_and_short_codes_are_written_as_they_are_dialled(
    api, account, number, friendly_name, country
):
    account.caller_ids.all().delete()
    CallerIdFactory(account=account, number=number)
    [phone] = get(api)[1]["incoming_phone_numbers"]
    assert phone["phone_number"] == number
    assert phone["friendly_name"] == friendly_name
    assert phone["country"] == country


def test_inactive_ones_and_other_accounts_are_left_out(api, account, other):
    CallerIdFactory(account=account, number="+918047110009", is_active=False)
    assert [phone["sid"] for phone in get(api)[1]["incoming_phone_numbers"]] == ["918047113311"]
    for hidden in ("918047110009", "918047110000"):
        assert get(api, f"{PATH}/{hidden}")[0] == 404


def test_pages_lead_from_the_first_to_the_last(api, account):
    for n in range(4):
        CallerIdFactory(account=account, number=f"+91804711000{n}")
    seen, address = [], f"{PATH}?PageSize=2"
    while address:
        page = get(api, address)[1]
        seen.append([phone["sid"][-1] for phone in page["incoming_phone_numbers"]])
        address = page["next_page_uri"]
    assert seen == [["0", "1"], ["2", "3"], ["1"]]
    assert page["previous_page_uri"] == f"{PATH}?Page=1&PageSize=2"
    assert get(api, f"{PATH}?Page=9")[1]["incoming_phone_numbers"] == []


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{PATH}/1", 404, "no ExoPhone 1"),
        (f"{PATH}?Page=x", 400, "'Page'"),
        (f"{PATH}?PageSize=0", 400, "'PageSize'"),
        ("/v2_beta/Accounts/umbrella/IncomingPhoneNumbers", 404, "umbrella"),
    ],
)
def test_an_error_is_written_in_both_shapes_as_clients_read_one_or_the_other(api, other, path, status, words):
    answered, body = get(api, path)
    assert answered == status
    assert words in body["RestException"]["Message"]
    assert body["RestException"]["Status"] == body["http_code"] == status
    assert body["response"][0]["error_data"]["description"] == body["RestException"]["Message"]


def test_wrong_credentials_and_too_many_requests_are_told_in_both_shapes_too(api, account):
    account.requests_per_minute = 1
    account.save()
    assert [get(api)[0], get(api)[0]] == [200, 429]
    assert "too many requests" in get(api)[1]["RestException"]["Message"]
    api.headers = {}
    status, body = get(api)
    assert status == 401
    assert "HTTP Basic" in body["response"][0]["error_data"]["description"]
