"""Campaigns from lists, and campaigns that read a text."""

from uuid import UUID

import pytest
from django.test import override_settings

from accounts.models import CallerId
from campaigns import audience, spoken_text
from campaigns import loading as campaign_loading
from campaigns.models import Call, Campaign
from contacts.csv_uploads import loading
from tests.api.client import NUMBERS, campaign, stored
from tests.factories import ContactListFactory, CsvUploadFactory, ListEntryFactory, TrunkFactory

pytestmark = pytest.mark.usefixtures("shared_account")


def filled(account, *numbers: str, **columns):
    made = ContactListFactory(account=account, **columns)
    for number in numbers:
        known = account.contacts.filter(number=number).first()
        contact = {"contact": known} if known else {"contact__number": number}
        ListEntryFactory(contact_list=made, **contact)
    return made


@pytest.fixture
def parents(account):
    return filled(account, *NUMBERS)


@pytest.fixture
def fees(account):
    """A dynamic list of two rows of one number, and a third."""
    made = ContactListFactory(account=account, dynamic=True)
    first = ListEntryFactory(
        contact_list=made, contact__number=NUMBERS[0], values={"Name": "Asha", "Fee": "100"}, values_digest="1"
    )
    for number, values in ((0, {"Name": "Ravi", "Fee": "200"}), (1, {"Name": "Mina", "Fee": "300"})):
        contact = {"contact": first.contact} if number == 0 else {"contact__number": NUMBERS[1]}
        ListEntryFactory(contact_list=made, values=values, values_digest=str(values), **contact)
    return made


def called() -> list[str]:
    return list(Call.objects.order_by("id").values_list("number", flat=True))


class TestLists:
    def test_every_contact_of_the_list_is_called_and_the_list_is_answered(self, api, parents):
        response = api.create(numbers=..., lists=[parents.pk.hex])
        assert called() == NUMBERS
        assert response.data["lists"] == [parents.pk.hex]
        assert "from" not in response.data
        assert response.item["summary"]["call_scheduled"] == 3

    def test_a_large_list_is_left_to_the_loader(self, api, parents, monkeypatch):
        monkeypatch.setattr(audience, "AT_ONCE", 2)
        response = api.create(numbers=..., lists=[parents.pk.hex])
        assert (response.data["status"], response.data["stats"]["created"], called()) == ("Created", 0, [])
        assert campaign_loading.take_turn(60)
        assert called() == NUMBERS

    def test_more_campaigns_than_fit_make_few_calls_in_the_request(self, api, parents, monkeypatch):
        monkeypatch.setattr(audience, "AT_ONCE", 4)
        body = campaign(numbers=..., lists=[parents.pk.hex])
        assert api.post("/campaigns", {"campaigns": [body] * 5}).status == 200
        assert len(called()) == 3

    @override_settings(MAX_OPEN_CALLS_PER_ACCOUNT=5)
    def test_more_calls_than_the_account_may_have_are_a_conflict_and_nothing_is_stored(self, api, parents):
        body = campaign(numbers=..., lists=[parents.pk.hex])
        refused = api.post("/campaigns", {"campaigns": [body, body]})
        assert refused.is_refused(409, "3 calls", "2 more", "5 in all")
        assert stored() == (0, 0)

    def test_a_call_has_the_name_of_its_contact(self, api, account):
        made = ContactListFactory(account=account)
        ListEntryFactory(contact_list=made, contact__first_name="Asha", contact__last_name="Rao")
        api.create(numbers=..., lists=[made.pk.hex])
        assert Call.objects.get().name == "Asha Rao"

    def test_a_number_in_two_lists_is_called_once_in_the_order_of_the_lists(self, api, account, parents):
        second = filled(account, "+919810099999", NUMBERS[0])
        api.create(numbers=..., lists=[second.pk.hex, parents.pk.hex])
        assert called() == ["+919810099999", NUMBERS[0], *NUMBERS[1:]]

    def test_and_twice_where_that_is_asked_for(self, api, account, parents):
        second = filled(account, NUMBERS[0])
        api.create(numbers=..., lists=[parents.pk.hex, second.pk.hex], call_duplicate_numbers=True)
        assert called() == [*NUMBERS, NUMBERS[0]]

    def test_five_lists_are_taken(self, api, account):
        lists = [filled(account, f"+91981001000{n}").pk.hex for n in range(5)]
        assert api.create(numbers=..., lists=lists).data["lists"] == lists
        assert len(called()) == 5

    def test_six_are_not(self, api, account):
        lists = [filled(account, f"+91981001000{n}").pk.hex for n in range(6)]
        assert api.create(numbers=..., lists=lists).is_refused(400, "'lists'", "6 lists", "5")

    def test_from_and_lists_together_are_refused(self, api, parents):
        assert api.create(lists=[parents.pk.hex]).is_refused(400, "'lists'", "from")

    @pytest.mark.parametrize("lists", [["0" * 32], ["nonsense"]])
    def test_an_unknown_list_is_named(self, api, lists):
        assert api.create(numbers=..., lists=lists).is_refused(400, "'lists'", lists[0])

    def test_another_accounts_list_is_unknown(self, api, other):
        theirs = filled(other.account, *NUMBERS)
        assert api.create(numbers=..., lists=[theirs.pk.hex]).is_refused(400, "'lists'", theirs.pk.hex)

    def test_an_empty_list_is_named_and_nothing_is_made(self, api, account, parents):
        empty = ContactListFactory(account=account, name="nobody")
        assert api.create(numbers=..., lists=[parents.pk.hex, empty.pk.hex]).is_refused(400, "nobody", "empty")
        assert Campaign.objects.count() == 0

    def test_a_list_that_is_being_loaded_is_not_called_in_half(self, api, account, parents):
        CsvUploadFactory(account=account, contact_list=parents)
        assert api.create(numbers=..., lists=[parents.pk.hex]).is_refused(409, "still being loaded")

    @pytest.mark.parametrize("lists", ["a", 5, {"a": 1}, [5]])
    def test_a_value_that_is_not_an_array_of_sids_is_refused(self, api, lists):
        assert api.create(numbers=..., lists=lists).is_refused(400, "'lists")

    def test_an_empty_array_is_as_none(self, api):
        assert api.create(lists=[]).data["from"] == NUMBERS

    def test_lists_replace_numbers_and_numbers_lists(self, api, parents):
        row = Campaign.objects.get(pk=api.create(numbers=["+919810099999"]).data["id"])
        assert api.change(row, lists=[parents.pk.hex]).data["lists"] == [parents.pk.hex]
        assert called() == NUMBERS
        assert "lists" not in api.change(row, **{"from": ["+919810099999"]}).data
        assert called() == ["+919810099999"]


class TestDynamic:
    def test_each_number_is_called_once_with_the_values_of_its_last_row(self, api, fees):
        response = api.create(numbers=..., lists=[fees.pk.hex], campaign_type="dynamic")
        assert response.data["campaign_type"] == "dynamic"
        assert [call.variables for call in Call.objects.order_by("id")] == [
            {"Name": "Ravi", "Fee": "200"},
            {"Name": "Mina", "Fee": "300"},
        ]

    def test_every_row_is_called_where_duplicates_are_asked_for(self, api, fees):
        api.create(numbers=..., lists=[fees.pk.hex], campaign_type="dynamic", call_duplicate_numbers=True)
        assert list(Call.objects.order_by("id").values_list("variables__Name", flat=True)) == ["Asha", "Ravi", "Mina"]

    def test_it_takes_exactly_one_dynamic_list(self, api, fees, parents, account):
        second = ContactListFactory(account=account, dynamic=True)
        for lists in ([parents.pk.hex], [fees.pk.hex, second.pk.hex], [fees.pk.hex, parents.pk.hex]):
            response = api.create(numbers=..., lists=lists, campaign_type="dynamic")
            assert response.is_refused(400, "'lists'", "exactly one list")

    def test_numbers_have_no_columns(self, api):
        assert api.create(campaign_type="dynamic").is_refused(400, "'lists'", "exactly one list", "no from")

    def test_a_static_campaign_takes_no_dynamic_list(self, api, fees):
        assert api.create(numbers=..., lists=[fees.pk.hex]).is_refused(400, "'lists'", "campaign_type dynamic")


class TestText:
    def test_a_greeting_comes_back_as_given(self, api):
        data = api.create(url=..., flow_type="greeting", read_via_text="No class tomorrow.").data
        assert (data["flow_type"], data["read_via_text"]) == ("greeting", "No class tomorrow.")
        assert not {"url", "repeat_menu_attempts"} & set(data)

    def test_a_menu_comes_back_as_given(self, api):
        data = api.create(url=..., flow_type="IVR", read_via_text="Press 1.", repeat_menu_attempts=2).data
        assert (data["flow_type"], data["repeat_menu_attempts"]) == ("ivr", 2)

    def test_a_menu_is_read_once_unless_asked_otherwise(self, api):
        data = api.create(url=..., flow_type="ivr", read_via_text="Press 1.").data
        campaign = Campaign.objects.get(pk=data["id"])
        assert spoken_text.document(campaign)["steps"][0]["gather"]["attempts"] == 1

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"read_via_text": "Hello", "flow_type": "greeting"}, "'read_via_text': can't be given together with url"),
            ({"url": ...}, "'url': is required"),
            ({"url": ..., "read_via_text": "Hello"}, "'flow_type': is required"),
            ({"url": ..., "flow_type": "ivr"}, "'flow_type'"),
            ({"flow_type": "ivr"}, "'flow_type'"),
            ({"repeat_menu_attempts": 1}, "'repeat_menu_attempts'"),
            ({"url": ..., "flow_type": "greeting", "read_via_text": "Hi", "repeat_menu_attempts": 1}, "flow_type ivr"),
            ({"url": ..., "flow_type": "ivr", "read_via_text": "Hi", "repeat_menu_attempts": 10}, "'repeat_menu_att"),
            ({"url": ..., "flow_type": "ivr", "read_via_text": "Hi", "repeat_menu_attempts": -1}, "'repeat_menu_att"),
            ({"url": ..., "flow_type": "song", "read_via_text": "Hello"}, "'flow_type': must be one of ivr, greeting"),
            ({"url": ..., "flow_type": "ivr", "read_via_text": ""}, "'read_via_text'"),
            ({"url": ..., "flow_type": "ivr", "read_via_text": "a" * 4001}, "'read_via_text'"),
            ({"url": ..., "flow_type": "ivr", "read_via_text": "Dear @@Name"}, "@@Name can't be filled"),
        ],
    )
    def test_fields_that_do_not_go_together_are_refused(self, api, fields, says):
        assert api.create(**fields).is_refused(400, says)
        assert Campaign.objects.count() == 0

    def test_zero_repetitions_of_a_greeting_are_accepted(self, api):
        assert api.create(url=..., flow_type="greeting", read_via_text="Hi", repeat_menu_attempts=0).data

    def test_a_variable_that_is_no_column_of_the_list_is_named_with_those_that_are(self, api, fees):
        fields = {"numbers": ..., "lists": [fees.pk.hex], "campaign_type": "dynamic", "url": ..., "flow_type": "ivr"}
        assert api.create(read_via_text="Dear @@Name, @@fee rupees", **fields).data["read_via_text"]
        response = api.create(read_via_text="Dear @@Name, @@Cost rupees", **fields)
        assert response.is_refused(400, "'read_via_text'", "@@Cost names no column", "can be named: Name, Fee")
        response = api.create(read_via_text="Dear @@Nameさん", **fields)
        assert response.is_refused(400, "'read_via_text'", "@@Nameさん names no column", "put a space after @@Name")
        assert api.create(read_via_text="Pay at @@", **fields).is_refused(400, "'read_via_text': @@ names no column")

    @pytest.mark.parametrize(
        ("header", "text"),
        [
            ("First Name", "@@First Name"),
            ("First Name", "@@first_name"),
            ("Fee due", "@@Fee\u00a0due"),
            ("Cafe\u0301", "@@Caf\u00e9"),
            ("Caf\u00e9", "@@Cafe\u0301"),
            ("\u200bकर\u200e", "@@कर"),
            ("क्\u200dष", "@@क्\u200dष"),
            ("👨\u200d👩\u200d👧", "@@👨\u200d👩\u200d👧"),
            ("a.b*(c)", "@@a.b*(c)"),
        ],
    )
    def test_a_column_of_an_uploaded_file_is_named_as_a_person_sees_it(self, api, header, text):
        uploaded = api.upload(f"number,{header},Fe\n{NUMBERS[0]},Asha,@@Fe\n", type="dynamic").data["summary"]
        loading.load(UUID(uploaded["upload_id"]))
        fields = {"numbers": ..., "url": ..., "lists": [uploaded["list_sid"]], "campaign_type": "dynamic"}
        response = api.create(flow_type="greeting", read_via_text=f"Dear {text}, @@Fe!", **fields)
        call = Call.objects.get(campaign=response.data["id"])
        said = [{"say": "Dear Asha, @@Fe!"}]
        assert spoken_text.document(call.campaign, call.variables) == {"steps": said, "machine": said}
        shown = api.get(f"/campaigns/{response.data['id']}").data["read_via_text"]
        assert shown == f"Dear {text}, @@Fe!"
        response = api.create(flow_type="greeting", read_via_text=f"Dear {text}ीम", **fields)
        assert response.is_refused(400, "'read_via_text'", f"{text}ीम", "names no column")

    def test_calls_over_a_carrier_that_runs_its_own_flows_need_a_url(self, api, account):
        CallerId.objects.update(trunk=TrunkFactory(exotel=True))
        response = api.create(url=..., flow_type="greeting", read_via_text="Hello")
        assert response.is_refused(400, "'read_via_text'", "give url")

    def test_a_text_replaces_a_flow_and_a_flow_a_text(self, api):
        made = api.create()
        row = Campaign.objects.get(pk=made.data["id"])
        data = api.change(row, read_via_text="Hello", flow_type="ivr", repeat_menu_attempts=3).data
        assert ("url" in data, data["read_via_text"], data["repeat_menu_attempts"]) == (False, "Hello", 3)
        assert api.change(row, read_via_text="Goodbye").data["repeat_menu_attempts"] == 3
        data = api.change(row, url=made.data["url"]).data
        assert (data["url"], "read_via_text" in data) == (made.data["url"], False)
