"""CSV uploads over the API: the form, the response, progress, the rejected rows, and their account."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from api.csv_uploads import upload_form
from contacts.csv_uploads import loading
from contacts.models import Contact, ContactList, CsvPiece, CsvUpload, ListEntry
from tests.api.client import Api, ApiResponse
from tests.factories import CsvUploadFactory

pytestmark = pytest.mark.usefixtures("shared_account")

NUMBER = "+919810012345"
FILE = f"number,first_name\n{NUMBER},Asha\n+9112,=cmd\n{NUMBER},Asha\n"
PATH = "/contacts/csv-upload"


def load(response: ApiResponse) -> str:
    """Load an upload as the worker does. Returns its id."""
    upload_id: str = response.data["summary"]["upload_id"]
    loading.load(CsvUpload.objects.get(pk=upload_id).pk)
    return upload_id


def send_form(api: Api, *, list_name: bytes = b"parents", file_part: bytes = b"a.csv", more: int = 0) -> Any:
    """Send a form byte for byte; names may hold anything."""
    fields = [
        b'name="list_name"\r\n\r\n' + list_name,
        b'name="file_name"; filename="' + file_part + b'"\r\n\r\n' + FILE.encode(),
        *[b'name="f%d"\r\n\r\nx' % n for n in range(more)],
    ]
    body = b"".join(b"--x\r\nContent-Disposition: form-data; " + field + b"\r\n" for field in fields) + b"--x--\r\n"
    return api.http.post(f"{api.root}{PATH}", body, "multipart/form-data; boundary=x", headers=api.headers)


class TestUpload:
    def test_the_response_names_the_upload_the_list_and_where_its_progress_stands(self, api):
        response = api.upload(FILE)
        assert response.status == 200
        upload = CsvUpload.objects.get()
        assert response.data == {
            "summary": {
                "upload_id": upload.pk.hex,
                "list_sid": ContactList.objects.get(name="parents").pk.hex,
                "url": f"http://127.0.0.1:8000/v2/accounts/acme/csv-status/{upload.pk.hex}",
            }
        }
        assert isinstance(response.envelope["response"], dict), "one item, and no array around it"
        assert upload.file_name == "parents.csv"

    def test_an_existing_list_is_extended(self, api):
        load(api.upload(FILE))
        assert api.upload(FILE).data["summary"]["list_sid"] == api.get("/lists").records[0]["sid"]
        assert ContactList.objects.count() == 1

    @pytest.mark.parametrize(
        ("fields", "kind"), [({}, "static"), ({"type": "dynamic"}, "dynamic"), ({"type": ""}, "static")]
    )
    def test_the_type_is_the_lists(self, api, fields, kind):
        api.upload(FILE, **fields)
        assert api.get("/lists").records[0]["type"] == kind

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"list_name": ...}, "'list_name' is mandatory"),
            ({"list_name": " "}, "'list_name' is mandatory"),
            ({"list_name": "a" * 256}, "'list_name'"),
            ({"file_name": ...}, "'file_name' is mandatory"),
            ({"file_name": "parents.csv"}, "'file_name' is mandatory"),
            ({"type": "promo"}, "'type': must be static or dynamic"),
            ({"file_name": SimpleUploadedFile("a.csv", b"name\nAsha\n")}, "line 1: no column is named number"),
            ({"file_name": SimpleUploadedFile("a.csv", b"")}, "line 1: there is no header"),
            ({"list_name": "par\0ents"}, "'list_name': leave out the control character U+0000"),
            ({"list_name": "par\nents"}, "'list_name': leave out the control character U+000A"),
            ({"list_name": "par\u2028ents"}, "'list_name': leave out the control character U+2028"),
            ({"type": "static\0"}, "'type': must be static or dynamic"),
            ({"ignore_columns": "yes please"}, "'ignore_columns': must be true or false"),
            ({"columns": "Phone"}, "'columns': the field is not valid JSON"),
            ({"columns": "[" * 10_000}, "'columns'"),
            ({"columns": '["Phone"]'}, "'columns': must be an object such as"),
            ({"columns": '{"number": 1}'}, "'columns': must be an object such as"),
            ({"columns": '{"number": ""}'}, "'columns': must be an object such as"),
            ({"columns": '{"phone": "number"}'}, "'columns': phone is none of number, first_name"),
            ({"columns": '{"Fee\\u0000": "number"}', "type": "dynamic"}, "'columns'"),
            ({"columns": '{"Fee\\n1": "first_name"}', "type": "dynamic"}, "'columns'"),
            ({"columns": '{"": "first_name"}', "type": "dynamic"}, "'columns': the name"),
            ({"columns": '{"\\u200d": "first_name"}', "type": "dynamic"}, "'columns': the name"),
            ({"columns": '{"Fee": "a", "F\\u200bee": "b"}', "type": "dynamic"}, "stands twice"),
            ({"columns": '{"First Name": "a", "first_name": "b"}'}, "stands twice, in two ways to write first_name"),
            ({"columns": '{"number": "Handset"}'}, "line 1: 'columns': the file has no column Handset"),
            (
                {"file_name": SimpleUploadedFile("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")},
                "save the sheet as .xlsx",
            ),
            ({"file_name": SimpleUploadedFile("a.csv", b"number," + b"a," * 32_000)}, "more than 1,000 columns"),
        ],
    )
    def test_a_form_that_can_not_be_is_refused_and_nothing_is_made(self, api, fields, says):
        assert api.upload(FILE, **fields).is_refused(400, says)
        assert (ContactList.objects.count(), CsvUpload.objects.count()) == (0, 0)

    def test_columns_are_named_and_others_left_out(self, api):
        content = f"Contact Ref,Given,City\n{NUMBER},Asha,Pune\n"
        columns = json.dumps({"number": "Contact Ref", "first_name": "Given"})
        load(api.upload(content, columns=columns, ignore_columns="true"))
        contact = Contact.objects.get()
        assert (contact.number, contact.first_name, contact.tag) == (NUMBER, "Asha", "")

    def test_a_dynamic_list_has_the_names_that_were_chosen(self, api):
        content = f"Phone,Amount due,City\n{NUMBER},500,Pune\n"
        load(api.upload(content, type="dynamic", columns='{"Fee": "Amount due"}', ignore_columns="1"))
        assert ListEntry.objects.get().values == {"Fee": "500"}

    @pytest.mark.parametrize(
        "name", [b"x" * 300 + b".csv", b"../../etc/passwd", "आशा.csv".encode(), b"a&#0;b.csv", b"100%00.csv"]
    )
    def test_whatever_the_file_is_called_it_is_taken(self, api, name):
        assert send_form(api, file_part=name).status_code == 200

    @pytest.mark.parametrize("name", [b"a\0b.csv", b"a\x01b.csv", b"a\xc2\x85.csv", b"a\xef\xbf\xbd.csv"])
    def test_a_file_name_with_what_nobody_can_read_is_refused(self, api, name):
        response = send_form(api, file_part=name)
        assert response.status_code == 400
        assert "'file_name'" in response.json()["response"]["error_data"]["description"]
        assert CsvUpload.objects.count() == 0

    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("पालक".encode(), 200),
            (b"\xf0\x9f\x98\x80", 200),
            (b"\xff\xfe", 400),
            (b"\xed\xa0\x80", 400),
            (b"a\xe9", 400),
        ],
    )
    def test_a_list_name_is_taken_where_it_is_utf8(self, api, name, status):
        response = send_form(api, list_name=name)
        assert response.status_code == status
        assert status == 200 or "'list_name': is not UTF-8" in response.content.decode()

    def test_a_file_name_that_is_not_utf8_is_refused(self, api):
        assert send_form(api, file_part=b"\xff.csv").status_code == 400

    def test_a_form_of_a_thousand_fields_is_refused(self, api):
        assert send_form(api, more=1000).status_code == 400

    def test_a_list_of_another_type_is_a_conflict(self, api):
        api.upload(FILE)
        assert api.upload(FILE, type="dynamic").is_refused(409, "parents is static")

    @pytest.mark.parametrize("content_type", ["application/json", "text/csv", "", "multipart/form-data"])
    def test_a_body_that_is_not_a_form_is_refused(self, api, content_type):
        assert api.post(PATH, FILE.encode(), content_type=content_type).status == 400

    def test_a_file_above_the_limit_is_refused(self, api, monkeypatch):
        monkeypatch.setattr(upload_form, "MAX_FILE_BYTES", len(FILE))
        assert api.upload(FILE).status == 200
        assert api.upload(FILE + "\n").is_refused(413, "larger than", "split it")
        monkeypatch.setattr(upload_form, "MAX_REST_BYTES", 0)
        assert api.upload(FILE).is_refused(413, "larger than")

    def test_a_file_above_the_limit_of_json_bodies_is_accepted_and_stored_whole(self, api):
        content = f"number\n{NUMBER}\n" + "\n" * 3_000_000
        api.upload(content)
        assert b"".join(bytes(piece.content) for piece in CsvPiece.objects.order_by("position")) == content.encode()


class TestStatus:
    def test_an_upload_that_waits_is_in_progress(self, api):
        upload_id = api.upload(FILE).data["summary"]["upload_id"]
        data = api.get(f"/csv-status/{upload_id}").data
        assert data["status"] == "in-progress"
        assert data["stats"] == {"total": 0, "success": 0, "duplicate": 0, "failed": 0, "replaced": 0}
        assert data["rejected_rows_url"] is None

    def test_a_completed_upload_says_what_became_of_its_rows(self, api):
        upload_id = load(api.upload(FILE))
        response = api.get(f"/csv-status/{upload_id}")
        assert isinstance(response.envelope["response"], dict), "one item, and no array around it"
        assert response.data == {
            "upload_id": upload_id,
            "list_sid": ContactList.objects.get().pk.hex,
            "status": "completed",
            "stats": {"total": 3, "success": 1, "duplicate": 1, "failed": 1, "replaced": 0},
            "rejected_rows_url": f"http://127.0.0.1:8000/v2/accounts/acme/csv-status/{upload_id}/rejected-rows",
        }

    def test_a_failed_upload_says_why(self, api, monkeypatch):
        monkeypatch.setattr(loading, "MAX_ROWS", 2)
        upload_id = load(api.upload(f"number\n{NUMBER}\n{NUMBER}\n{NUMBER}\n"))
        data = api.get(f"/csv-status/{upload_id}").data
        assert data["status"] == "failed"
        assert data["error"].startswith("line 2: the file has more than 2 rows")

    def test_the_rejected_rows_are_a_csv_file(self, api):
        upload_id = load(api.upload(FILE))
        response = api.http.get(f"{api.root}/csv-status/{upload_id}/rejected-rows", headers=api.headers)
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert f"rejected-rows-{upload_id}.csv" in response.headers["Content-Disposition"]
        assert response.getvalue().decode() == (
            "\ufeffline,reason,number,first_name\n3,not a valid number: +9112,+9112,'=cmd\n"
        )

    def test_the_contacts_are_in_the_list(self, api):
        load(api.upload(f"number,Fee\n{NUMBER},100\n", type="dynamic"))
        sid = ContactList.objects.get().pk.hex
        (data,) = api.get(f"/lists/{sid}/contacts").records
        assert (data["number"], data["values"]) == (NUMBER, {"Fee": "100"})


@pytest.mark.parametrize("path", ["", "/rejected-rows"])
@pytest.mark.parametrize("upload_id", ["another's", "0" * 32, "1"])
def test_an_unknown_upload_and_another_accounts_are_a_404(api: Api, other: Api, path, upload_id):
    theirs = CsvUploadFactory(account=other.account, completed=True).pk.hex
    upload_id = theirs if upload_id == "another's" else upload_id
    assert api.get(f"/csv-status/{upload_id}{path}").is_refused(404, upload_id)


def test_an_upload_never_fills_another_accounts_list(api, other):
    load(other.upload(FILE))
    load(api.upload(FILE))
    assert [api.get("/lists").records[0]["contact_count"], other.get("/lists").records[0]["contact_count"]] == [1, 1]


def test_credentials_come_first(api):
    api.headers = {}
    response = api.upload(FILE)
    assert response.is_refused(401, "credentials")
    assert isinstance(response.items, dict)
