"""The do-not-call list of an account: one and many, a result for each, a file, and the way off it."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.audit_entry import AuditEntry
from contacts.csv_uploads import loading
from contacts.do_not_call import listed
from contacts.models import CsvUpload, DoNotCall
from tests.api.client import ApiResponse, checked
from tests.api.test_query_counts import statements
from tests.factories import AccountFactory, DoNotCallFactory

pytestmark = pytest.mark.usefixtures("shared_account")

NUMBER = "+919810012345"
MANY = [f"+9198100{n:05d}" for n in range(200)]


def add(api, *numbers, **options):
    return api.post("/do-not-call", {"do_not_call": [{"number": number} for number in numbers]}, **options)


def upload(api, content, **fields):
    parts = {"file_name": SimpleUploadedFile("registry.csv", content.encode())} | fields
    response = api.http.post(f"{api.root}/do-not-call/csv-upload", parts, headers=api.headers)
    return ApiResponse(response.status_code, response.headers, checked("POST", response))


class TestAdd:
    def test_a_number_comes_back_in_e164_with_its_source(self, api, account):
        response = api.post("/do-not-call", {"do_not_call": [{"number": "098100 12345", "note": "by mail"}]})
        assert (response.status, response.codes) == (207, [200])
        shown = {name: response.data[name] for name in ("number", "scope", "source", "note")}
        assert shown == {"number": NUMBER, "scope": "account", "source": "api", "note": "by mail"}
        assert set(listed(account.pk, [NUMBER])) == {NUMBER}

    def test_a_bare_object_is_one_number(self, api):
        assert api.post("/do-not-call", {"number": NUMBER}).codes == [200]

    def test_each_item_has_a_code_of_its_own(self, api, account):
        DoNotCallFactory(account=account, number=NUMBER, note="before")
        response = add(api, MANY[0], "+9112", NUMBER, 5, MANY[0])
        assert response.codes == [200, 400, 409, 400, 409]
        assert response.metadata == {"total": 5, "success": 1, "failed": 4}
        assert (response.items[2]["data"]["number"], response.items[2]["data"]["note"]) == (NUMBER, "before")
        assert "+9112 is not a valid number" in response.items[1]["error_data"]["description"]

    def test_a_number_that_the_account_does_not_call_may_be_listed(self, api):
        assert add(api, "+12125550123").codes == [200]

    def test_of_two_in_a_request_the_first_note_counts(self, api):
        given = [{"number": NUMBER, "note": "first"}, {"number": NUMBER, "note": "second"}]
        assert api.post("/do-not-call", {"do_not_call": given}).codes == [200, 409]
        assert DoNotCall.objects.get().note == "first"

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ({"scope": "all"}, "'scope': for all accounts only the operator"),
            ({"scope": "everybody"}, "'scope': must be one of account, all"),
            ({"registry": "ncpr"}, "'registry': is not known here: leave it out. Known: number, note, scope"),
            ({"reason": "by mail"}, "'reason': is not known here"),
            ({"\u200bscope": "all"}, "\\u200bscope': is not known here"),
        ],
    )
    def test_what_would_be_dropped_is_refused(self, api, more, says):
        response = api.post("/do-not-call", {"do_not_call": [{"number": NUMBER} | more, {"number": MANY[0]}]})
        assert response.codes == [400, 200]
        assert says in response.items[0]["error_data"]["description"]
        assert DoNotCall.objects.get().number == MANY[0]

    def test_what_stands_beside_the_numbers_is_refused(self, api):
        body = {"do_not_call": [{"number": NUMBER}], "scope": "all"}
        assert api.post("/do-not-call", body).is_refused(400, "'scope': is not known here", "do_not_call")
        assert not DoNotCall.objects.exists()

    def test_the_scope_of_the_account_may_be_said_and_nulls_say_nothing(self, api):
        given = {"number": NUMBER, "scope": "account", "note": None, "registry": None}
        assert api.post("/do-not-call", {"do_not_call": [given]}).data["scope"] == "account"

    def test_another_accounts_entry_is_no_duplicate(self, api, other):
        add(other, NUMBER)
        assert add(api, NUMBER).codes == [200]

    @pytest.mark.parametrize("body", [{}, {"do_not_call": []}, {"do_not_call": {}}, []])
    def test_no_numbers_are_refused(self, api, body):
        assert api.post("/do-not-call", body).is_refused(400, "do_not_call is mandatory")

    def test_five_thousand_are_the_most(self, api):
        assert add(api, *[NUMBER] * 5001).is_refused(400, "5,001", "5,000")

    def test_sent_again_with_its_key_it_is_done_once(self, api):
        for _ in range(2):
            assert add(api, NUMBER, headers={"Idempotency-Key": "k"}).codes == [200]
        assert AuditEntry.objects.filter(object_kind="contacts.donotcall").count() == 1

    def test_many_take_as_many_statements_as_one(self, api):
        assert api.get("/do-not-call").status == 200

        def times(numbers):
            return len(statements(lambda: add(api, *numbers), status=207))

        assert times(MANY[:1]) == times(MANY[1:])


class TestRead:
    def test_the_accounts_own_are_listed_by_pages_in_their_order(self, api, account):
        DoNotCallFactory.create_batch(2)
        DoNotCallFactory(for_all=True)
        own = [entry.number for entry in DoNotCallFactory.create_batch(3, account=account)]
        page = api.get("/do-not-call?limit=2")
        assert [record["number"] for record in page.records] == own[:2]
        assert page.metadata == {"count": 2, "offset": 0, "limit": 2, "total": 3}
        page = api.get("/do-not-call?limit=2&offset=1&sort_by=date_created:desc")
        assert [record["number"] for record in page.records] == own[1::-1]

    def test_one_number_is_found_in_any_spelling_also_where_it_is_listed_for_all(self, api, account):
        DoNotCallFactory(account=account, number=NUMBER)
        DoNotCallFactory(of_registry=True, number=NUMBER)
        DoNotCallFactory(account=account)
        for spelled in ("098100 12345", "%2B919810012345", "+919810012345", "9810012345"):
            assert [record["scope"] for record in api.get(f"/do-not-call?number={spelled}").records] == [
                "account",
                "all",
            ]
        of_all = api.get(f"/do-not-call/{NUMBER}").records[1]
        assert (of_all["source"], of_all["registry"], of_all["registry_date"]) == ("registry", "ncpr", "2026-03-01")

    def test_what_is_no_number_is_refused(self, api):
        assert api.get("/do-not-call?number=hello").is_refused(400, "'number'", "hello")
        assert api.get("/do-not-call/hello").is_refused(400, "'number'", "hello")

    def test_another_accounts_number_is_unknown(self, api):
        DoNotCallFactory(number=NUMBER)
        assert api.get(f"/do-not-call/{NUMBER}").is_refused(404, "not on the do-not-call list")
        assert api.get(f"/do-not-call?number={NUMBER}").records == []

    def test_a_page_of_many_takes_as_many_statements_as_one_of_one(self, api, account):
        def times():
            return len(statements(lambda: api.get("/do-not-call?limit=500")))

        times()  # stores when the key was used
        DoNotCallFactory(account=account)
        of_one = times()
        DoNotCallFactory.create_batch(20, account=account)
        assert times() == of_one


class TestRemove:
    @pytest.mark.parametrize("in_body", [True, False])
    def test_takes_a_reason_which_is_kept(self, api, account, in_body):
        DoNotCallFactory(account=account, number=NUMBER)
        body = {"reason": "asked again"} if in_body else b""
        response = api.send("DELETE", f"/do-not-call/{NUMBER}{'' if in_body else '?reason=asked%20again'}", body)
        assert response.data["number"] == NUMBER
        assert listed(account.pk, [NUMBER]) == {}
        entry = AuditEntry.objects.get(object_kind="contacts.donotcall")
        assert (entry.verb, entry.what, entry.account) == ("deleted", "asked again", account)

    @pytest.mark.parametrize("body", [b"", {}, {"reason": ""}, {"reason": 5}, {"reason": "x" * 256}, []])
    def test_is_refused_without_one(self, api, account, body):
        DoNotCallFactory(account=account, number=NUMBER)
        assert api.send("DELETE", f"/do-not-call/{NUMBER}", body).status == 400
        assert DoNotCall.objects.count() == 1

    def test_says_what_is_missing(self, api, account):
        DoNotCallFactory(account=account, number=NUMBER)
        assert api.send("DELETE", f"/do-not-call/{NUMBER}").is_refused(400, "'reason': is mandatory")

    def test_a_body_says_nothing_else_and_a_query_may(self, api, account):
        DoNotCallFactory(account=account, number=NUMBER)
        for address, body in (("", {"reason": "asked", "scope": "all"}), ("?reason=asked", {"scope": "all"})):
            refused = api.send("DELETE", f"/do-not-call/{NUMBER}{address}", body)
            assert refused.is_refused(400, "'scope': is not known here")
        assert listed(account.pk, [NUMBER])
        assert api.send("DELETE", f"/do-not-call/{NUMBER}?reason=asked&_=17").status == 200
        assert not DoNotCall.objects.exists()

    def test_a_number_for_all_is_the_operators(self, api):
        DoNotCallFactory(for_all=True, number=NUMBER)
        assert api.send("DELETE", f"/do-not-call/{NUMBER}?reason=x").is_refused(409, "only the operator")
        assert DoNotCall.objects.count() == 1

    def test_what_is_not_listed_is_unknown(self, api):
        DoNotCallFactory(account=AccountFactory(), number=NUMBER)
        assert api.send("DELETE", f"/do-not-call/{NUMBER}?reason=x").is_refused(404)


class TestAFile:
    def test_is_loaded_by_turns_with_counts_and_rejected_rows(self, api, account):
        DoNotCallFactory(account=account, number=MANY[0])
        rows = [MANY[0], *MANY[:50], "+9112", "+12125550123"]
        taken = upload(api, "\n".join(["Name,Mobile", *(f"Asha,{row}" for row in rows)]))
        assert taken.status == 200
        assert taken.data["summary"]["list_sid"] is None
        status = f"/csv-status/{taken.data['summary']['upload_id']}"
        assert api.get(status).data["status"] == "in-progress"
        while loading.take_turn(0):
            pass
        data = api.get(status).data
        assert (data["status"], data["list_sid"]) == ("completed", None)
        assert data["stats"] == {"total": 53, "success": 50, "duplicate": 2, "failed": 1, "replaced": 0}
        assert set(account.do_not_call.values_list("source", flat=True)) == {"api", "csv"}
        assert len(listed(account.pk, MANY)) == 50
        rejected = api.http.get(f"{api.root}{status}/rejected-rows", headers=api.headers)
        text = b"".join(rejected.streaming_content).decode()
        assert "53,not a valid number: +9112,+9112" in text
        assert "Asha" not in text

    def test_is_recorded_once(self, api):
        upload(api, f"number\n{NUMBER}\n")
        loading.take_turn(1)
        entry = AuditEntry.objects.get(object_kind="contacts.donotcall")
        assert (entry.verb, entry.object_name) == ("uploaded", "the do-not-call list")
        assert "registry.csv" in entry.what

    def test_may_say_which_column_is_the_number(self, api):
        assert upload(api, f"who\n{NUMBER}\n", columns='{"number": "who"}').status == 200
        loading.take_turn(1)
        assert DoNotCall.objects.get().number == NUMBER

    @pytest.mark.parametrize(
        ("content", "fields", "words"),
        [
            ("who\nAsha\n", {}, "no column is named number"),
            ("number\n1\n", {"columns": '{"first_name": "who"}'}, "first_name is not kept"),
            ("number\n1\n", {"file_name": ""}, "'file_name' is mandatory"),
        ],
    )
    def test_that_can_not_be_read_is_refused(self, api, content, fields, words):
        assert upload(api, content, **fields).is_refused(400, words)
        assert not CsvUpload.objects.exists()
