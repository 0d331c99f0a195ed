"""No text is read aloud with a hole in it, or too long: blank values, and texts with the values of their calls."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import spoken_text
from campaigns.models import Call, Campaign
from contacts.csv_uploads import loading
from contacts.models import ContactList, CsvUpload
from tests.api.client import Api, ApiResponse

pytestmark = pytest.mark.usefixtures("shared_account")

A, B, C = "+919810012345", "+919810012346", "+919810012347"
MASKED = {A: "+91981*****45", B: "+91981*****46"}
TEXT = "Dear @@Name, @@Fee rupees are due."


def load(api: Api, *rows: str, header: str = "number,Name,Fee", **fields: str) -> CsvUpload:
    response = api.upload("\n".join([header, *rows]) + "\n", **{"type": "dynamic"} | fields)
    upload = CsvUpload.objects.get(pk=response.data["summary"]["upload_id"])
    loading.load(upload.pk)
    upload.refresh_from_db()
    assert upload.status == "completed", upload.error
    return upload


def create(api: Api, text: str = TEXT, **fields: object) -> ApiResponse:
    given = {"campaign_type": "dynamic", "lists": [ContactList.objects.get().pk.hex], "read_via_text": text} | fields
    return api.create(numbers=..., url=..., flow_type="greeting", **given)


def spoken() -> list[str]:
    calls = Call.objects.order_by("id").select_related("campaign")
    return [spoken_text.fill(call.campaign.text, call.variables or {}) for call in calls]


class TestUpload:
    def test_rows_without_a_value_are_rejected_with_line_and_column(self, api):
        upload = load(api, f"{A},Asha,500", f"{B},Mina,", f"{C},,700", "+919810012348,Ravi,#N/A")
        assert (upload.rows_loaded, upload.rows_rejected) == (1, 3)
        assert [(row.line, row.reason.partition(":")[0]) for row in upload.rejected.order_by("line")] == [
            (3, "no value for Fee"),
            (4, "no value for Name"),
            (5, "Fee is #N/A, which stands for an error or for no value"),
        ]
        create(api)
        assert spoken() == ["Dear Asha, 500 rupees are due."]

    def test_a_blank_contact_column_counts_because_a_text_can_name_it(self, api):
        assert load(api, f"{A},", header="number,first_name").rows_rejected == 1

    def test_a_static_list_takes_contacts_without_names(self, api):
        assert load(api, f"{A},", header="number,first_name", type="static").rows_loaded == 1

    def test_the_number_is_no_value(self, api):
        assert load(api, A, header="number").rows_loaded == 1

    @pytest.mark.parametrize("given", ["true", "1", " TRUE "])
    def test_a_list_may_allow_blanks_but_no_errors(self, api, given):
        upload = load(api, f"{A},,500", f"{B},Mina,#REF!", allow_blanks=given)
        assert (upload.rows_loaded, upload.rows_rejected) == (1, 1)
        assert ContactList.objects.get().allows_blanks
        assert create(api).data["id"]
        assert spoken() == ["Dear , 500 rupees are due."]

    def test_the_setting_is_the_lists_and_stays_until_it_is_changed(self, api):
        load(api, f"{A},,500", allow_blanks="true")
        assert load(api, f"{B},,500").rows_loaded == 1
        assert load(api, f"{C},,500", allow_blanks="false").rows_rejected == 1
        assert load(api, f"{C},,500").rows_rejected == 1

    def test_rejected_rows_replace_nothing(self, api):
        load(api, f"{A},Asha,500")
        assert load(api, f"{A},Asha,").rows_replaced == 0
        assert ContactList.objects.get().entries.get().values == {"Name": "Asha", "Fee": "500"}

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"allow_blanks": "true", "type": "static"}, "only a dynamic list"),
            ({"allow_blanks": "yes", "type": "dynamic"}, "must be true or false"),
            ({"allow_blanks": "null", "type": "dynamic"}, "must be true or false"),
        ],
    )
    def test_a_setting_that_makes_no_sense_is_refused(self, api, fields, word):
        assert api.upload(f"number\n{A}\n", **fields).is_refused(400, "'allow_blanks'", word)
        assert not ContactList.objects.exists()

    def test_it_may_be_false_for_a_static_list(self, api):
        assert load(api, A, header="number", type="static", allow_blanks="false").rows_loaded == 1


class TestListSetting:
    def test_it_is_shown_and_changed(self, api):
        path = f"/lists/{load(api, f'{A},Asha,1').filled_list.pk.hex}"
        assert api.get(path).data["allow_blanks"] is False
        assert api.put(path, {"allow_blanks": True}).data["allow_blanks"] is True
        assert load(api, f"{B},,1").rows_loaded == 1
        assert api.put("/lists", {"lists": [{"sid": path[7:], "allow_blanks": False}]}).data["allow_blanks"] is False
        assert load(api, f"{C},,1").rows_rejected == 1

    @pytest.mark.parametrize("value", ["x", 5, [], {}])
    def test_a_value_that_is_neither_true_nor_false_is_refused(self, api, value):
        path = f"/lists/{load(api, f'{A},Asha,1').filled_list.pk.hex}"
        assert api.put(path, {"allow_blanks": value}).is_refused(400, "'allow_blanks'")

    def test_a_static_list_has_no_such_setting(self, api):
        response = api.post("/lists", {"lists": [{"name": "a", "allow_blanks": True}, {"name": "b"}]})
        assert response.codes == [400, 200]
        assert "'allow_blanks'" in response.items[0]["error_data"]["description"]
        contact_list = ContactList.objects.get()
        response = api.put(f"/lists/{contact_list.pk.hex}", {"allow_blanks": True})
        assert response.is_refused(400, "'allow_blanks'", "only a dynamic list")
        response = api.put("/lists", {"lists": [{"sid": contact_list.pk.hex, "allow_blanks": True}]})
        assert response.codes == [400]
        contact_list.refresh_from_db()
        assert not contact_list.allows_blanks


class TestCampaign:
    @pytest.mark.parametrize("value", ["", "-", " . "])
    def test_a_blank_that_was_allowed_once_is_refused_where_the_text_names_it(self, api, value):
        upload = load(api, f"{A},Asha,500", f"{B},Mina,{value}", allow_blanks="true")
        api.put(f"/lists/{upload.filled_list.pk.hex}", {"allow_blanks": False})
        assert create(api).is_refused(400, "'read_via_text'", MASKED[B], "no value for Fee")
        assert Campaign.objects.count() == Call.objects.count() == 0
        assert create(api, "Dear @@Name.").data["id"]
        assert spoken() == ["Dear Asha.", "Dear Mina."]

    def test_letters_of_any_script_are_values(self, api):
        load(api, f"{A},आशा,५००", f"{B},O'Neil-Rao,-5", f"{C},美咲,٣")
        assert create(api).data["id"]

    def test_the_longest_text_is_read_and_one_more_character_is_refused(self, api):
        load(api, f"{A},A,500", f"{B},{'आ' * 200},500")
        text = "x" * (spoken_text.LONGEST - 403) + "@@Name @@Name" + "@@Fee"
        assert create(api, text).is_refused(400, "'read_via_text'", MASKED[B], "4,001", "4,000")
        assert Campaign.objects.count() == Call.objects.count() == 0
        assert create(api, text[1:]).data["id"]
        assert max(map(len, spoken())) == spoken_text.LONGEST

    def test_a_text_that_is_long_by_its_names_alone_is_read(self, api):
        load(api, f"{A},A", header=f"number,{'N' * 200}")
        assert create(api, "x" * 3790 + "@@" + "N" * 200).data["id"]

    def test_length_counts_though_blanks_are_allowed(self, api):
        load(api, f"{A},{'a' * 255},", allow_blanks="true")
        assert create(api, "@@Name@@Fee " + "x" * 3750).is_refused(400, "4,006")

    def test_a_change_is_judged_like_a_new_campaign(self, api):
        load(api, f"{A},{'a' * 255},500")
        row = Campaign.objects.get(pk=create(api, "@@Name").data["id"])
        assert api.change(row, read_via_text="@@Name " + "x" * 3745).is_refused(400, MASKED[A], "4,001")
        row.refresh_from_db()
        assert row.text == "@@Name"
        assert api.change(row, read_via_text="@@Name " + "x" * 3744).data["id"]

    def test_a_list_that_grows_does_not_reach_the_campaign(self, api):
        upload = load(api, f"{A},Asha,500", f"{B},Mina,700")
        create(api)
        said = spoken()
        api.put(f"/lists/{upload.filled_list.pk.hex}", {"allow_blanks": True})
        load(api, f"{A},,", f"{B},{'m' * 255},1", f"{C},,5")
        assert spoken() == said == ["Dear Asha, 500 rupees are due.", "Dear Mina, 700 rupees are due."]

    def test_it_is_one_query_however_many_rows_and_columns(self, api):
        load(api, *[f"+9198100{n:05d},Asha,{n},1,2,3" for n in range(300)], header="number,Name,Fee,a,b,c")
        with CaptureQueriesContext(
            connection,
        ) as few:
            create(api, "Hello.")
        with CaptureQueriesContext(connection) as many:
            create(api, "@@Name @@Fee @@a @@b @@c @@a")
        assert len(many) == len(few) + 1
        assert Call.objects.count() == 600
