"""Files of contacts from the console: for a new campaign, and into a list."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.audit_entry import AuditEntry
from api.csv_uploads import upload_form
from contacts.csv_uploads import loading
from contacts.models import ContactList, CsvUpload, ListEntry
from tests.console.people import sign_in, text
from tests.factories import AccountFactory, CallerIdFactory, ContactListFactory

pytestmark = pytest.mark.django_db

FILE = b"number,first_name,Fee\n+919810012345,Asha,10\n12,Ravi,20\n"


@pytest.fixture
def account(clock):
    return AccountFactory(sid="acme")


@pytest.fixture
def meera(account):
    CallerIdFactory(account=account)
    return sign_in("operator", account)


def send(client, name, content=FILE, **fields):
    file = {} if content is None else {"file": SimpleUploadedFile("parents.csv", content)}
    return client.post(reverse(f"admin:{name}", args=["acme"]), {**fields, **file}, follow=True)


def test_a_file_becomes_a_list_of_its_own_that_is_chosen(meera, account):
    page = send(meera, "upload_for_campaign", text="No class tomorrow.")
    upload = CsvUpload.objects.get()
    assert upload.filled_list.name == "parents 2026-03-02 11:30:00"
    assert page.context["form"].get("lists") == [upload.filled_list.pk.hex]
    assert page.context["form"].get("text") == "No class tomorrow.", "what was typed stays"
    assert "is being loaded" in text(page)
    assert AuditEntry.objects.get(verb="uploaded").actor_name == "meera"

    loading.load(upload.pk)
    asked = {"lists": [upload.filled_list.pk.hex], "text": "No class tomorrow.", "do": "preview"}
    found = meera.post(reverse("admin:new_campaign_preview", args=["acme"]), asked).context["people"]
    assert (found.count, found.bad_count, found.bad[0].line) == (1, 1, 3)


def test_an_old_list_is_not_called_by_accident(meera, account):
    ContactListFactory(account=account, name="parents")
    page = send(meera, "upload_for_campaign", list_name="parents")
    assert "There is a list of this name" in page.context["errors"]["file"]
    assert not CsvUpload.objects.exists()
    send(meera, "upload_for_campaign")
    assert ContactList.objects.count() == 2


def test_columns_are_kept_for_the_text_on_demand(meera):
    send(meera, "upload_for_campaign", list_kind="dynamic")
    assert ContactList.objects.get().columns == ["first_name", "Fee"]


def test_a_list_is_extended(meera, account):
    for _ in range(2):
        page = send(meera, "upload_list", list_name="parents")
        assert "The file parents.csv is being loaded into parents." in text(page)
    for upload in CsvUpload.objects.all():
        loading.load(upload.pk)
    assert ListEntry.objects.filter(contact_list__account=account).count() == 1
    page = text(meera.get(reverse("admin:set_up_account", args=["acme"])))
    assert "1 rejected</a>" in page


@pytest.mark.parametrize("name", ["upload_for_campaign", "upload_list"])
@pytest.mark.parametrize(
    ("content", "fields", "says"),
    [
        (None, {"list_name": "parents"}, "Choose a file first"),
        (b"", {"list_name": "parents"}, "there is no header"),
        (b"%PDF-1.7", {"list_name": "parents"}, "a PDF"),
        (b"a,b\n1,2\n", {"list_name": "parents"}, "no column is named number"),
        (FILE, {"list_name": "a" * 256}, "at most 255 characters"),
        (FILE, {"list_name": "a\u2028b"}, "control character"),
    ],
)
def test_a_file_that_can_t_be_loaded_is_refused_with_the_reason(meera, name, content, fields, says):
    assert says in text(send(meera, name, content, **fields)).replace("&#x27;", "'")
    assert not CsvUpload.objects.exists()
    assert not ContactList.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_file_beyond_the_limit_is_refused(meera, monkeypatch):
    monkeypatch.setattr(upload_form, "MAX_FILE_BYTES", 10)
    assert "larger than" in text(send(meera, "upload_list", list_name="parents"))
    assert not CsvUpload.objects.exists()


def test_a_file_beyond_the_limit_of_other_pages_is_taken(meera, settings):
    settings.MAX_REQUEST_BYTES = 1_000
    large = b"number\n" + b"\n".join(b"+9198100%05d" % number for number in range(200))
    send(meera, "upload_list", large, list_name="parents")
    assert CsvUpload.objects.get().size_bytes == len(large)


def test_nothing_of_a_file_is_read_before_the_person_is_known(client, account, monkeypatch):
    monkeypatch.setattr(upload_form.ToDisk, "receive_data_chunk", lambda *_: pytest.fail("it was read"))
    for name in ("upload_for_campaign", "upload_list"):
        address = reverse(f"admin:{name}", args=["acme"])
        sent = client.post(address, {"file": SimpleUploadedFile("parents.csv", FILE)})
        assert sent.url.startswith(reverse("admin:login"))
    viewer = sign_in("viewer", account, "asha")
    assert viewer.post(reverse("admin:upload_list", args=["acme"]), {}).status_code == 403
    assert viewer.get(reverse("admin:upload_list", args=["acme"])).status_code == 405
