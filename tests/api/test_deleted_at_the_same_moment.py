"""What a request names is deleted between its look-up and its change: a 404 or 409, and nothing half done."""

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from psycopg.errors import ForeignKeyViolation

from accounts.audit_entry import AuditEntry
from api.contacts.views import ContactDetailsView
from api.lists.views import ListView
from contacts import address_book, lists
from contacts.models import Contact, ContactList, CsvUpload, ListEntry
from tests.contacts.test_keys import wait_until_a_query_waits_for_a_lock
from tests.factories import ContactFactory, ContactListFactory


@pytest.fixture
def parents(account):
    return ContactListFactory(account=account, name="parents")


@pytest.fixture
def asha(account):
    return ContactFactory(account=account)


def delete_after(monkeypatch, owner, name: str, rows) -> None:
    """Delete the rows right after this function of the owner has looked something up."""
    genuine = getattr(owner, name)

    def look(*arguments, **named):
        found = genuine(*arguments, **named)
        rows().delete()
        return found

    monkeypatch.setattr(owner, name, look)


@pytest.mark.parametrize(("method", "path"), [("put", ""), ("delete", ""), ("post", "/contacts")])
def test_a_list(api, parents, asha, monkeypatch, method, path):
    delete_after(monkeypatch, ListView, "contact_list", ContactList.objects.all)
    body = {"contact_references": [{"contact_sid": asha.pk.hex}]} if path else {"name": "staff"}
    response = getattr(api, method)(f"/lists/{parents.pk.hex}{path}", *([] if method == "delete" else [body]))
    assert response.is_refused(404, "the list parents was deleted at the same moment")
    assert not AuditEntry.objects.filter(object_kind__startswith="contacts.").exists()


@pytest.mark.parametrize(("method", "code"), [("put", 409), ("delete", 404)])
def test_a_contact(api, asha, monkeypatch, method, code):
    delete_after(monkeypatch, ContactDetailsView, "_contact", Contact.objects.all)
    body = [] if method == "delete" else [{"first_name": "Ravi"}]
    response = getattr(api, method)(f"/contacts/{asha.pk.hex}", *body)
    assert response.is_refused(code, "deleted at the same moment")
    assert not AuditEntry.objects.filter(object_kind__startswith="contacts.").exists()


def test_one_of_many_lists_and_contacts(api, parents, asha, monkeypatch):
    others = ContactListFactory(account=parents.account, name="staff"), ContactFactory(account=asha.account)
    for owner, name, gone in ((lists, "change_all", parents), (address_book, "change", asha)):
        genuine = getattr(owner, name)

        def change(*arguments, genuine=genuine, gone=gone, **named):
            gone.delete()
            return genuine(*arguments, **named)

        monkeypatch.setattr(owner, name, change)
    changed = [{"sid": row.pk.hex, "tag": "school"} for row in (parents, others[0])]
    assert api.put("/lists", {"lists": changed}).is_refused(409, "deleted at the same moment")
    changed = [{"sid": row.pk.hex, "first_name": "Ravi"} for row in (asha, others[1])]
    assert api.put("/contacts", {"contacts": changed}).is_refused(409, "deleted at the same moment")
    assert ContactList.objects.get().tag == ""
    assert Contact.objects.get().first_name != "Ravi"


@pytest.mark.parametrize("path", ["/lists", "/contacts"])
def test_one_that_is_there_already_and_then_not(api, parents, asha, monkeypatch, path):
    model: Any
    model, body = {
        "/lists": (ContactList, {"name": "parents"}),
        "/contacts": (Contact, {"number": asha.number}),
    }[path]
    delete_after(monkeypatch, model.objects, "bulk_create", model.objects.all)
    assert api.post(path, body).is_refused(409, "was deleted at the same moment: send the request again")


def test_the_list_of_a_file(api, account, parents, monkeypatch):
    delete_after(monkeypatch, lists, "create", ContactList.objects.all)
    response = api.upload("number\n+919810000001\n", list_name="parents")
    assert response.is_refused(409, "the list parents was deleted at the same moment: send the file again")
    assert not CsvUpload.objects.exists()


def test_whatever_a_key_names(api, parents, monkeypatch):
    def fails(*_, **__):
        raise IntegrityError("insert or update on table …") from ForeignKeyViolation("…")

    monkeypatch.setattr(lists, "change", fails)
    response = api.put(f"/lists/{parents.pk.hex}", {"name": "staff"})
    assert response.is_refused(409, "something that this names was deleted at the same moment")


@pytest.mark.django_db(transaction=True)
def test_a_contact_that_is_deleted_while_it_is_added_to_a_list_is_no_contact_and_the_others_are_added(
    api, parents, asha
):
    """The addition comes while the deletion is not committed: it waits for it, and then sees no such contact."""
    ravi = ContactFactory(account=asha.account)
    is_deleted = threading.Event()

    def delete() -> None:
        with transaction.atomic():
            Contact.objects.filter(pk=asha.pk).delete()
            is_deleted.set()
            wait_until_a_query_waits_for_a_lock()
        connections.close_all()

    deletion = threading.Thread(target=delete)
    deletion.start()
    assert is_deleted.wait(60)
    references = [{"contact_sid": contact.pk.hex} for contact in (asha, ravi)]
    response = api.post(f"/lists/{parents.pk.hex}/contacts", {"contact_references": references})
    deletion.join(60)
    assert (response.status, response.codes) == (207, [404, 200])
    assert [entry.contact_id for entry in ListEntry.objects.all()] == [ravi.pk]
