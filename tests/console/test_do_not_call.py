"""The page of the do-not-call lists: pasted numbers, files, looking up, removing with a reason."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.audit_entry import AuditEntry
from api.csv_uploads import upload_form
from console import listed
from contacts.models import CsvUpload, DoNotCall
from tests.factories import AccountFactory, CsvUploadFactory, DoNotCallFactory, RejectedRowFactory
from tests.plans import forget_statistics

pytestmark = pytest.mark.django_db

PAGE, ADD, UPLOAD, REMOVE = (reverse(f"admin:do_not_call{name}") for name in ("", "_add", "_upload", "_remove"))
A, B = "+919810077777", "+919810077778"


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def account():
    return AccountFactory(region="IN")


def test_pasted_numbers_come_on_the_list_with_who_and_why(person, account):
    client = person("operator", account)
    form = {"account": account.sid, "numbers": f"98100 77777; {B}", "note": "by mail"}
    page = text(client.post(ADD, form, follow=True))
    assert f"2 numbers added to the do-not-call list of {account.sid}." in page
    rows = DoNotCall.objects.order_by("number").values_list("account", "number", "source", "note", "added_by")
    assert list(rows) == [(account.pk, number, "admin", "by mail", "meera") for number in (A, B)]
    assert "by mail" in page
    assert AuditEntry.objects.get().actor == "meera"


def test_mistakes_are_said_with_line_and_reason_and_the_good_are_kept(person, account):
    form = {"account": account.sid, "numbers": f"\n{A}\nhello\n12", "note": "n"}
    response = person("operator", account).post(ADD, form)
    page = text(response)
    assert DoNotCall.objects.get().number == A
    assert '<td data-label="Line">3</td><td data-label="What stands there">hello</td>' in page
    assert '<td data-label="Line">4</td>' in page
    assert ">hello 12</textarea>" in page, "what is left to mend"
    assert "1 number added" in page


def test_a_number_that_is_there_stays_as_it_is(person, account):
    DoNotCallFactory(account=account, number=A)
    page = text(person("operator", account).post(ADD, {"account": account.sid, "numbers": A}, follow=True))
    assert "0 numbers added" in page
    assert "1 stood there already" in page
    assert DoNotCall.objects.get().source == "api"


@pytest.mark.parametrize("form", [{}, {"numbers": " , \n"}, {"numbers": "\x00"}, {"numbers": A, "note": "x" * 256}])
def test_a_form_that_says_nothing_is_shown_again(person, account, form):
    response = person("operator", account).post(ADD, {"account": account.sid} | form)
    assert response.status_code == 200
    assert 'role="alert"' in text(response)
    assert not DoNotCall.objects.exists()


def test_more_than_the_most_are_refused(person, account, monkeypatch):
    monkeypatch.setattr("console.views.do_not_call.MOST", 1)
    page = text(person("operator", account).post(ADD, {"account": account.sid, "numbers": f"{A} {B}"}))
    assert "Nothing was added" in page
    assert f"{A} {B}</textarea>" in page


def test_only_administrators_of_the_server_list_for_all(person, account):
    assert person("administrator", account).post(ADD, {"account": "*", "numbers": A}).status_code == 403
    person("administrator", None, "root").post(ADD, {"account": "*", "numbers": "98100 77777"})
    assert DoNotCall.objects.get().account is None


def test_a_number_for_accounts_of_several_countries_needs_its_code(person, account):
    AccountFactory(region="DE")
    page = text(person("administrator").post(ADD, {"account": "*", "numbers": "98100 77777"}))
    assert "1 of them can't be read" in page.replace("&#x27;", "'")
    assert not DoNotCall.objects.exists()


def test_nobody_lists_for_others_and_a_viewer_for_nobody(person, account):
    other = AccountFactory()
    assert person("operator", account).post(ADD, {"account": other.sid, "numbers": A}).status_code == 404
    viewer = person("viewer", account, "asha")
    assert viewer.post(ADD, {"account": account.sid, "numbers": A}).status_code == 403
    assert "Add numbers" not in text(viewer.get(PAGE))
    assert not DoNotCall.objects.exists()


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_file_is_taken_as_the_api_takes_it(person, account):
    client = person("operator", account)
    file = SimpleUploadedFile("dnc.csv", f"Phone 1\n{A}\n".encode())
    page = text(client.post(UPLOAD, {"account": account.sid, "file": file, "column": "Phone 1"}, follow=True))
    assert "The file dnc.csv was taken" in page
    upload = CsvUpload.objects.get()
    assert (upload.account, upload.contact_list, upload.columns) == (account, None, ["number"])
    assert "in progress" in page


@pytest.mark.parametrize(("content", "said"), [(b"name\nAsha\n", "no column is named number"), (b"%PDF", "a PDF")])
def test_a_file_that_can_t_be_read_is_said_so(person, account, content, said):
    file = SimpleUploadedFile("dnc.csv", content)
    response = person("operator", account).post(UPLOAD, {"account": account.sid, "file": file})
    assert said in text(response)
    assert not CsvUpload.objects.exists()


def test_a_file_has_the_limit_of_the_api_and_a_larger_one_is_refused_by_the_page(
    person, account, settings, monkeypatch
):
    settings.MAX_REQUEST_BYTES = 1_000
    client = person("operator", account)
    large = b"number\n" + b"\n".join(b"+9198100%05d" % number for number in range(200))
    client.post(UPLOAD, {"account": account.sid, "file": SimpleUploadedFile("dnc.csv", large)})
    assert CsvUpload.objects.get().size_bytes == len(large)

    monkeypatch.setattr(upload_form, "MAX_FILE_BYTES", 10)
    refused = client.post(UPLOAD, {"account": account.sid, "file": SimpleUploadedFile("dnc.csv", large)})
    assert "The file is larger than" in text(refused)
    assert "<h1>Do not call</h1>" in text(refused)
    assert CsvUpload.objects.count() == 1


def test_nothing_of_a_file_is_read_before_the_person_is_known(client, person, account, monkeypatch):
    monkeypatch.setattr(upload_form.ToDisk, "receive_data_chunk", lambda *_: pytest.fail("it was read"))
    file = SimpleUploadedFile("dnc.csv", f"number\n{A}\n".encode())
    assert client.post(UPLOAD, {"account": account.sid, "file": file}).url.startswith(reverse("admin:login"))
    assert person("viewer", account).post(UPLOAD, {"account": account.sid, "file": file}).status_code == 403


def test_a_file_needs_the_token_of_the_page(person, account):
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = person("operator", account).cookies
    file = SimpleUploadedFile("dnc.csv", f"number\n{A}\n".encode())
    assert forger.post(UPLOAD, {"account": account.sid, "file": file}).status_code == 403
    assert not CsvUpload.objects.exists()


def test_a_file_is_for_one_account(person):
    file = SimpleUploadedFile("dnc.csv", f"number\n{A}\n".encode())
    assert "A file is for one account" in text(person("administrator").post(UPLOAD, {"account": "*", "file": file}))
    assert not CsvUpload.objects.exists()


def test_rows_that_were_not_loaded_can_be_fetched(person, account):
    upload = CsvUploadFactory(account=account, contact_list=None, completed=True, columns=["number"])
    RejectedRowFactory(upload=upload)
    client = person("viewer", account)
    address = reverse("admin:do_not_call_rejected", args=[upload.pk])
    assert address in text(client.get(PAGE))
    assert b"not a valid number" in b"".join(client.get(address))
    stranger = person("viewer", AccountFactory(), "asha")
    assert stranger.get(address).status_code == 404
    contacts = CsvUploadFactory(account=account, completed=True)
    assert client.get(reverse("admin:do_not_call_rejected", args=[contacts.pk])).status_code == 404


# Looking up ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled", ["9810077777", "098100 77777", "0091 98100-77777", "+91 98100 7", "98100", "0981007"]
)
def test_a_number_is_found_by_any_spelling_and_beginning(account, spelled):
    entry = DoNotCallFactory(account=account, number=A)
    DoNotCallFactory(account=account, number="+919910077777")
    DoNotCallFactory(account=AccountFactory(), number=B)
    shown = listed.find(spelled, {account.pk}, is_over_the_server=False)
    assert shown.entries == [entry]


@pytest.mark.parametrize("spelled", ["98", "", "hello", "+", "00", "0", "999"])
def test_what_begins_no_number_finds_none(account, spelled):
    DoNotCallFactory(account=account, number=A)
    assert listed.find(spelled, {account.pk}, is_over_the_server=False).entries == []


def test_the_last_of_a_country_is_found(account):
    entry = DoNotCallFactory(account=account, number="+9999999999")
    assert listed.find("+9999", {account.pk}, is_over_the_server=False).entries == [entry]


def test_the_list_of_all_is_looked_up_by_whole_numbers_alone(account):
    entry = DoNotCallFactory(for_all=True, number=A)
    assert listed.find("98100 77777", {account.pk}, is_over_the_server=False).entries == [entry]
    assert listed.find("98100", {account.pk}, is_over_the_server=False).entries == []
    assert listed.find("98100", None, is_over_the_server=True).entries == [entry]


def test_a_beginning_is_looked_for_by_an_index(account):
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        listed.find("98100", None, is_over_the_server=True)
        cursor.execute("SET LOCAL enable_seqscan = off")
        forget_statistics(cursor)
        looked = [query["sql"] for query in queries if 'FROM "contacts_donotcall"' in query["sql"]]
        assert looked
        for sql in looked:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Index Cond: ((number" in plan.replace("(number)::text", "number"), plan


def test_the_newest_come_first_and_older_ones_follow(account, monkeypatch):
    monkeypatch.setattr(listed, "MOST_SHOWN", 2)
    entries = DoNotCallFactory.create_batch(3, account=account)
    first = listed.newest({account.pk})
    assert (first.entries, first.has_more) == (entries[:0:-1], True)
    following = listed.newest({account.pk}, first.entries[-1].pk)
    assert (following.entries, following.has_more) == (entries[:1], False)


def test_people_see_the_lists_of_their_accounts(person, account):
    DoNotCallFactory(account=account, number=A)
    DoNotCallFactory(account=AccountFactory(), number=B)
    page = text(person("viewer", account).get(PAGE))
    assert A in page
    assert B not in page


def test_the_queries_do_not_grow_with_the_list(person, account):
    client = person("administrator", account)

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert client.get(PAGE).status_code == 200
        return len(counted)

    DoNotCallFactory(account=account)
    one = queries()
    DoNotCallFactory.create_batch(20, account=account)
    CsvUploadFactory.create_batch(3, account=account, contact_list=None)
    assert queries() == one


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30])
def test_a_wrong_place_is_the_beginning(person, account, before):
    DoNotCallFactory(account=account, number=A)
    assert A in text(person("viewer", account).get(PAGE, {"before": before}))


# Removing ------------------------------------------------------------------------------------------------------------


def test_numbers_are_removed_with_a_reason(person, account):
    entries = DoNotCallFactory.create_batch(2, account=account)
    client = person("administrator", account)
    chosen = {"entry": [entry.pk for entry in entries]}
    question = text(client.post(REMOVE, chosen))
    assert all(entry.number in question for entry in entries)
    assert DoNotCall.objects.count() == 2, "a question changes nothing"
    assert "Say why" in text(client.post(REMOVE, chosen | {"reason": " "}))
    page = text(client.post(REMOVE, chosen | {"reason": "they asked"}, follow=True))
    assert "2 numbers removed." in page
    assert not DoNotCall.objects.exists()
    assert set(AuditEntry.objects.values_list("verb", "what")) == {("deleted", "they asked")}


@pytest.mark.parametrize("role", ["operator", "administrator"])
def test_what_is_not_the_person_s_stays(person, account, role):
    own, of_all = DoNotCallFactory(account=account), DoNotCallFactory(for_all=True)
    others = DoNotCallFactory()
    client = person(role, account)
    for entry in (of_all, others, *([own] if role == "operator" else [])):
        form = {"entry": [own.pk, entry.pk], "reason": "x"}
        assert client.post(REMOVE, form).status_code == 403
    assert DoNotCall.objects.count() == 3


@pytest.mark.parametrize("chosen", [[], ["x"], ["9" * 30], ["-1"]])
def test_nothing_chosen_removes_nothing(person, account, chosen):
    page = person("administrator", account).post(REMOVE, {"entry": chosen, "reason": "x"}, follow=True)
    assert "Nothing was removed" in text(page)
