"""POST /campaigns: what is accepted, what is stored, and what the response shows."""

import json

import pytest

from campaigns import lifecycle
from campaigns.models import Call, Campaign, CustomField
from contacts import numbers
from core.errors import InvalidRequest
from tests.api.client import CALLER_ID, FLOW_URL, NUMBERS, campaign, stored
from tests.conftest import START
from tests.factories import CallAttemptFactory, CallerIdFactory, TrunkFactory

pytestmark = pytest.mark.usefixtures("shared_account")


def numbers_stored() -> list[str]:
    return list(Call.objects.order_by("id").values_list("number", flat=True))


def test_a_campaign_in_the_array_wrapper_is_created(api):
    response = api.post("/campaigns", {"campaigns": [campaign()]})
    assert response.metadata == {"total": 1, "success": 1, "failed": 0}
    assert response.data["status"] == "Created"
    assert Campaign.objects.get().pk.hex == response.data["id"]
    assert numbers_stored() == NUMBERS


def test_a_bare_object_is_created_and_answered_in_the_same_envelope(api):
    response = api.post("/campaigns", campaign())
    assert response.metadata == {"total": 1, "success": 1, "failed": 0}
    assert response.data["from"] == NUMBERS == numbers_stored()


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""])
def test_json_is_read_whatever_the_body_is_labelled(api, content_type):
    """`curl -d` without a header labels the body as a form."""
    assert api.post("/campaigns", campaign(), content_type=content_type).data["from"] == NUMBERS


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "nonsense"])
def test_the_response_is_json_whatever_is_asked_for(api, accept):
    assert api.post("/campaigns?format=xml", campaign(), headers={"accept": accept}).data


def test_a_campaign_may_say_how_long_a_phone_rings(api):
    """A field of our own: a campaign that does not name it is shown as Exotel shows it."""
    assert "ring_timeout" not in api.post("/campaigns", campaign()).data
    given = api.post("/campaigns", campaign(ring_timeout=20)).data
    assert (given["ring_timeout"], Campaign.objects.get(pk=given["id"]).ring_timeout) == (20, 20)


@pytest.mark.parametrize("seconds", [4, 121, "soon"])
def test_a_ring_time_that_no_carrier_takes_is_refused(api, seconds):
    assert api.post("/campaigns", campaign(ring_timeout=seconds)).is_refused(400, "ring_timeout")
    assert stored() == (0, 0)


def test_a_campaign_may_tell_machines_from_people(api, account):
    trunk = TrunkFactory(carrier="twilio", base_url="https://a.example", account_sid="AC1", api_key="AC1")
    CallerIdFactory(account=account, number="+914440000000", trunk=trunk)
    body = campaign(caller_id="+914440000000", machine_detection="Hang-Up")
    made = api.post("/campaigns", body).data
    assert (made["machine_detection"], made["answered_by_machine"]) == ("hang-up", 0)
    call = Call.objects.first()
    CallAttemptFactory(call=call, busy=True, answered_by="machine")
    assert api.get(f"/campaigns/{made['id']}").data["answered_by_machine"] == 1
    assert api.get(f"/campaigns/{made['id']}/call-details").records[0]["answered_by"] == "machine"
    plain = api.post("/campaigns", campaign()).data
    assert not {"machine_detection", "answered_by_machine"} & plain.keys()


def test_machines_are_refused_over_a_carrier_that_hears_none(api):
    assert api.post("/campaigns", campaign(machine_detection="hang-up")).is_refused(400, "machine_detection")
    assert api.post("/campaigns", campaign(machine_detection="shout")).is_refused(400, "machine_detection")
    assert stored() == (0, 0)


def test_several_campaigns_are_created_together_with_an_item_each(api):
    response = api.post("/campaigns", {"campaigns": [campaign(name="first"), campaign(name="second")]})
    assert response.metadata == {"total": 2, "success": 2, "failed": 0}
    assert [data["name"] for data in response.records] == ["first", "second"]


def test_one_bad_campaign_of_several_fails_all_of_them_and_is_named(api):
    response = api.post("/campaigns", {"campaigns": [campaign(), campaign(numbers=["+9112"])]})
    assert response.is_refused(400, "campaigns[1].from", "+9112")
    assert stored() == (0, 0)


def test_a_campaign_that_fails_late_takes_the_ones_before_it_along(api, monkeypatch):
    genuine = lifecycle.create
    made: list[object] = []

    def second_fails(*args, **columns):
        if made:
            raise InvalidRequest("the second can't be made")
        made.append(genuine(*args, **columns))
        return made[0]

    monkeypatch.setattr(lifecycle, "create", second_fails)
    assert api.post("/campaigns", {"campaigns": [campaign(), campaign()]}).is_refused(400, "the second")
    assert stored() == (0, 0)


def test_two_hundred_and_one_campaigns_are_too_many_for_one_request(api):
    response = api.post("/campaigns", {"campaigns": [campaign(numbers=NUMBERS[:1])] * 201})
    assert response.is_refused(400, "201 campaigns", "200 of one request")
    assert stored() == (0, 0)


class TestNumbers:
    def test_from_is_an_array_or_one_comma_separated_string(self, api):
        as_array = api.create(numbers=["+919810012345", "+919810012346"])
        as_string = api.create(numbers="+919810012345, +919810012346,")
        assert as_array.data["from"] == as_string.data["from"] == ["+919810012345", "+919810012346"]

    @pytest.mark.parametrize(
        "written",
        [
            "09810012345",
            "9810012345",
            "+91 98100 12345",
            "0091-98100-12345",
            "(0) 98100 12345",
            " 98100.12345 ",
            "+91981001234\u0665",
            "+91\u00a09810012345",
            "tel:+919810012345",
        ],
    )
    def test_a_number_is_read_in_the_accounts_region_and_stored_in_e164(self, api, written):
        assert api.create(numbers=[written]).data["from"] == ["+919810012345"]
        assert numbers_stored() == ["+919810012345"]

    def test_the_region_is_the_accounts_own(self, api):
        api.account.region = "GB"
        api.account.save()
        response = api.create(numbers=["020 7946 0018"], caller_id="+918047113311")
        assert response.data["from"] == ["+442079460018"]

    def test_a_number_of_another_country_is_written_with_its_plus(self, api):
        api.account.allowed_countries = ["GB"]
        api.account.save()
        assert api.create(numbers=["+44 20 7946 0018"]).data["from"] == ["+442079460018"]

    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            ("+44 20 7946 0018", "it is a number of GB, and this account calls IN only"),
            ("+91 1861 123 456 789", "it is a premium-rate number"),
            ("+870 773 111 632", "it belongs to a satellite phone"),
        ],
    )
    def test_a_number_that_the_account_does_not_call_is_refused_and_shown(self, api, bad, says):
        response = api.create(numbers=["+919810012345", bad, "+919810012346"])
        assert response.is_refused(
            400, "'from'", f"{bad} can't be called: {says}", "number 2 of 3", "nothing was stored"
        )
        assert stored() == (0, 0)

    def test_the_countries_of_caller_ids_are_called(self, api):
        CallerIdFactory(account=api.account, number="+442079460958")
        assert api.create(numbers=["+442079460018"]).status == 200

    def test_a_number_given_twice_is_called_once(self, api):
        response = api.create(numbers=["+919810012345", "09810012345", "+919810012346"])
        assert response.data["from"] == ["+919810012345", "+919810012346"]
        assert response.item["summary"]["call_scheduled"] == 2

    def test_a_number_given_twice_is_called_twice_where_that_is_asked_for(self, api):
        response = api.create(numbers=["+919810012345", "09810012345"], call_duplicate_numbers=True)
        assert response.item["summary"]["call_scheduled"] == 2
        assert numbers_stored() == ["+919810012345", "+919810012345"]

    def test_the_first_invalid_number_fails_the_request_and_is_named(self, api):
        response = api.create(numbers=["+919810012345", "+9112", "+9113"])
        assert response.is_refused(400, "'from'", "+9112", "number 2 of 3", "nothing was stored")
        assert "+9113" not in response.description
        assert stored() == (0, 0)

    def test_numbers_after_the_first_invalid_one_are_not_parsed(self, api, monkeypatch):
        looked_at = []
        genuine = numbers.read

        def watched(number, region):
            looked_at.append(number)
            return genuine(number, region)

        monkeypatch.setattr(numbers, "read", watched)
        api.create(numbers=["+919810012345", "+9112", "+9113", "+919810012346"])
        assert looked_at == ["+919810012345", "+9112"]

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            " ",
            "+",
            "12",
            "9" * 40,
            "+" + "1" * 5000,
            "1800-FLOWERS",
            "+91981001234x",
            "+919810012345;ext=5",
            "=cmd|' /C calc'!A0",
            "+919810012345,+919810012346",
            "112",
        ],
    )
    def test_an_invalid_number_is_refused_and_shown(self, api, bad):
        response = api.create(numbers=["+919810012345", bad])
        assert response.is_refused(400, "'from'", bad.strip()[:100], "number 2 of 2")
        assert stored() == (0, 0)

    @pytest.mark.parametrize(
        "bad", [9810012345, 919810012345.0, 981001234.5, True, None, ["+919810012345"], {"number": "+919810012345"}]
    )
    def test_a_number_that_is_not_a_string_is_refused_and_shown(self, api, bad):
        response = api.create(numbers=["+919810012345", bad])
        assert response.is_refused(400, json.dumps(bad), "number 2 of 2", "in quotes")
        assert stored() == (0, 0)

    @pytest.mark.parametrize("bad", [[], "", ",,", 5, True, {}, {"0": "+919810012345"}])
    def test_no_numbers_are_refused(self, api, bad):
        assert api.create(numbers=bad).is_refused(400, "'from'", "phone number")
        assert stored() == (0, 0)

    def test_five_thousand_numbers_fit_into_one_request(self, api, django_assert_max_num_queries):
        given = [f"+9198{n:08d}" for n in range(10_000_000, 10_005_000)]
        with django_assert_max_num_queries(30):
            response = api.create(numbers=given)
        assert response.data["from"] == given
        assert response.item["summary"]["call_scheduled"] == 5000
        assert response.data["stats"]["created"] == 5000

    @pytest.mark.parametrize("as_written", [list, ",".join])
    def test_five_thousand_and_one_do_not(self, api, as_written):
        response = api.create(numbers=as_written([f"+9198{n:08d}" for n in range(10_000_000, 10_005_001)]))
        assert response.is_refused(400, "'from'", "5,001", "5,000", "several campaigns")
        assert stored() == (0, 0)


class TestFields:
    def test_every_response_has_a_request_id_of_its_own(self, api):
        assert api.create().envelope["request_id"] != api.create().envelope["request_id"]

    def test_the_least_of_each_limit_is_accepted(self, api):
        retries = {"number_of_retries": 1, "interval_mins": 1}
        data = api.create(name="abc", retries=retries).data
        assert (data["name"], data["retries"]["interval_mins"]) == ("abc", 1)

    def test_the_end_is_30_days_after_a_start_that_was_given(self, api, clock):
        data = api.create(schedule={"send_at": "2026-04-02T10:30:00+05:30"}).data
        assert data["schedule"]["end_at"] == "2026-05-02T10:30:00+05:30"

    def test_a_campaign_with_few_fields_gets_the_defaults_of_exotels_documentation(self, api, clock):
        data = api.create().data
        assert data | {"id": "", "stats": {}, "uri": ""} == {
            "id": "",
            "account_sid": "acme",
            "name": "acme 2026-03-02 11:30:00",
            "type": "trans",
            "campaign_type": "static",
            "from": NUMBERS,
            "caller_id": CALLER_ID,
            "url": FLOW_URL,
            "call_duplicate_numbers": False,
            "retries": {"number_of_retries": 0},
            "schedule": {"send_at": "2026-03-02T11:30:00+05:30", "end_at": "2026-04-01T11:30:00+05:30"},
            "mode": "auto",
            "status": "Created",
            "stats": {},
            "date_created": "2026-03-02T11:30:00+05:30",
            "date_updated": "2026-03-02T11:30:00+05:30",
            "date_started": None,
            "report_url": None,
            "uri": "",
        }

    def test_everything_that_is_said_comes_back(self, api, clock):
        given = {
            "name": "Fees due",
            "type": "trans",
            "campaign_type": "static",
            "call_duplicate_numbers": True,
            "retries": {
                "number_of_retries": 3,
                "interval_mins": 15,
                "mechanism": "Exponential",
                "on_status": ["busy", "failed"],
            },
            "schedule": {"send_at": "2026-03-02T15:00:00+05:30", "end_at": "2026-03-02T18:00:00+05:30"},
            "call_status_callback": "https://example.com/call",
            "call_schedule_callback": "https://example.com/schedule",
            "status_callback": "https://example.com/campaign",
            "mode": "custom",
            "throttle": 20,
            "custom_field": '{"term": 2}',
        }
        data = api.create(**given).data
        assert {name: data[name] for name in given} == given
        assert CustomField.objects.get().value == '{"term": 2}'

    def test_unknown_keys_are_ignored_and_null_keys_count_as_absent(self, api):
        body = campaign(colour="red", name=None, retries=None, lists=None, schedule={"send_at": None, "end_at": None})
        assert api.post("/campaigns", body).status == 200

    def test_the_custom_field_keeps_its_blanks(self, api):
        assert api.create(custom_field="  two\n words ").data["custom_field"] == "  two\n words "

    def test_text_may_be_of_any_script(self, api):
        assert api.create(name="शुल्क 📞 \\u0000").data["name"] == "शुल्क 📞 \\u0000"

    @pytest.mark.parametrize("spelling", ["08047113311", "+918047113311", "+91 80 4711 3311", "0804-711-3311"])
    def test_the_caller_id_is_found_in_any_spelling_and_echoed_as_given(self, api, spelling):
        assert api.create(caller_id=spelling).data["caller_id"] == spelling

    def test_blanks_around_a_text_are_not_part_of_it(self, api):
        data = api.create(caller_id=" " * 40 + CALLER_ID + "\n", name="  Fees due  ", url=f" {FLOW_URL} ").data
        assert (data["caller_id"], data["name"], data["url"]) == (CALLER_ID, "Fees due", FLOW_URL)

    @pytest.mark.parametrize(
        "url",
        [
            "https://my.exotel.com/acme/exoml/start_voice/29281",
            "http://my.exotel.in/exoml/start/29281",
            "http://my.exotel.in/start/29281",
            "http://my.in.exotel.com/acme/exoml/start_voice/29281/",
        ],
    )
    def test_the_flow_is_the_last_segment_of_every_form_of_its_address(self, api, url):
        assert api.create(url=url).data["url"] == url
        assert Campaign.objects.filter(flow__flow_id="29281").exists()

    def test_on_status_is_all_three_by_default_and_linear_is_the_mechanism(self, api):
        retries = api.create(retries={"number_of_retries": 1, "interval_mins": 5}).data["retries"]
        assert retries["on_status"] == ["busy", "no-answer", "failed"]
        assert retries["mechanism"] == "Linear"

    def test_retry_words_are_read_in_any_spelling_and_answered_in_one(self, api):
        given = {"number_of_retries": 1, "interval_mins": 5, "mechanism": "EXPONENTIAL", "on_status": ["No_Answer"]}
        retries = api.create(retries=given).data["retries"]
        assert (retries["mechanism"], retries["on_status"]) == ("Exponential", ["no-answer"])

    def test_a_throttle_beside_mode_auto_is_ignored(self, api):
        assert "throttle" not in api.create(mode="auto", throttle=0).data

    @pytest.mark.parametrize(
        ("given", "local"),
        [
            ("2026-03-02T07:00:00Z", "2026-03-02T12:30:00+05:30"),
            ("2026-03-02T07:00:00.000Z", "2026-03-02T12:30:00+05:30"),
            ("2026-03-02T12:30:00+05:30", "2026-03-02T12:30:00+05:30"),
            ("2026-03-02T07:00:00+00:00", "2026-03-02T12:30:00+05:30"),
            ("2026-03-01T23:00:00-08:00", "2026-03-02T12:30:00+05:30"),
        ],
    )
    def test_moments_come_in_any_offset_and_are_answered_in_the_accounts_zone(self, api, clock, given, local):
        assert api.create(schedule={"send_at": given}).data["schedule"]["send_at"] == local

    def test_a_start_that_a_slow_clock_puts_in_the_past_is_now(self, api, clock):
        schedule = api.create(schedule={"send_at": "2026-03-02T11:27:00+05:30"}).data["schedule"]
        assert schedule["send_at"] == "2026-03-02T11:30:00+05:30"
        assert Campaign.objects.get().send_at == START
