"""The keys of contacts, list entries and webhooks, which triggers hold in place of foreign keys (decision 0039)."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, connections, transaction

from contacts import address_book
from contacts.csv_uploads import bulk_insert, intake, loading
from contacts.csv_uploads.columns import ColumnChoice
from contacts.models import Contact, ContactList, CsvUpload, ListEntry
from tests.factories import (
    ACTOR,
    AccountFactory,
    ContactFactory,
    ContactListFactory,
    ListEntryFactory,
    WebhookDeliveryFactory,
)
from webhooks.models import WebhookDelivery

KEYS: dict[str, tuple[Callable[[], Any], str]] = {
    "contact_has_its_account": (ContactFactory, "account_id"),
    "list_entry_has_its_list": (ListEntryFactory, "contact_list_id"),
    "list_entry_has_its_contact": (ListEntryFactory, "contact_id"),
    "webhook_has_its_campaign": (WebhookDeliveryFactory, "campaign_id"),
}
NUMBERS = [f"+9198100{n:05d}" for n in range(6)]


@pytest.fixture(params=KEYS)
def key(request):
    """The name of a key, a row that has it, the column, and the row that it names."""
    make, column = KEYS[request.param]
    row = make()
    return request.param, row, column, getattr(row, column.removesuffix("_id"))


def check_deferred() -> None:
    """Check what a commit would check."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def delete_alone(row: Any) -> None:
    """Delete the row without those that name it, which Django would delete first."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {row._meta.db_table} WHERE id = %s", [row.pk])


def commit_deletion(row: Any) -> None:
    with transaction.atomic():
        delete_alone(row)
        check_deferred()


@pytest.mark.django_db
class TestAKey:
    def test_names_a_row_that_exists(self, key):
        name, row, column, parent = key
        nowhere = 2**40 if isinstance(parent.pk, int) else uuid4()
        row.pk, row._state.adding = (None if isinstance(row.pk, int) else uuid4()), True
        if isinstance(row, WebhookDelivery):
            row.webhook_id = uuid4()
        setattr(row, column, nowhere)
        with pytest.raises(IntegrityError, match=f"{name}.*{nowhere}"), transaction.atomic():
            row.save(force_insert=True)

    def test_keeps_the_row_that_it_names(self, key):
        name, _, _, parent = key
        with pytest.raises(IntegrityError, match=name):
            commit_deletion(parent)

    def test_and_that_row_may_go_first_in_a_transaction_that_deletes_both(self, key):
        _, row, _, parent = key
        delete_alone(parent)
        delete_alone(row)
        check_deferred()

    def test_never_names_another_row(self, key):
        name, row, column, _ = key
        other = getattr(KEYS[name][0](), column)
        with pytest.raises(IntegrityError, match="keeps its key"), transaction.atomic():
            type(row).objects.filter(pk=row.pk).update(**{column: other})

    def test_names_a_row_that_keeps_its_id(self, key):
        *_, parent = key
        with pytest.raises(IntegrityError, match="keeps its key"), transaction.atomic():
            type(parent).objects.filter(pk=parent.pk).update(
                id=parent.pk + 1 if isinstance(parent.pk, int) else uuid4()
            )

    def test_django_deletes_the_rows_that_name_a_row(self, key):
        _, row, _, parent = key
        parent.delete()
        check_deferred()
        assert not type(row).objects.exists()


@pytest.mark.django_db
def test_one_entry_without_its_contact_is_found_among_many():
    entry = ListEntryFactory()
    contacts = [*ContactFactory.create_batch(5, account=entry.contact_list.account), Contact(id=uuid4())]
    entries = [ListEntry(contact_list=entry.contact_list, contact_id=contact.pk) for contact in contacts]
    with pytest.raises(IntegrityError, match=str(contacts[-1].pk)), transaction.atomic():
        ListEntry.objects.bulk_create(entries)


@pytest.fixture
def pool(transactional_db):
    with ThreadPoolExecutor(2) as pool:
        yield pool


def in_thread(pool: ThreadPoolExecutor, work, *arguments) -> "Future[object]":
    def run():
        try:
            return work(*arguments)
        finally:
            connections.close_all()

    return pool.submit(run)


def wait_until_a_query_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 60
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # or a transaction sees what it saw first
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    pytest.fail("no query waits for a lock")


class TestTwoAtOnce:
    """A row that is named and deleted at the same moment: one of the two waits for the other, and then fails."""

    def test_the_deletion_waits_for_the_row_that_was_added_first(self, pool):
        contact_list = ContactListFactory()
        contact = ContactFactory(account=contact_list.account)
        for parent in (contact, contact_list):
            with transaction.atomic():
                ListEntry.objects.filter(contact=contact).delete()
                ListEntry.objects.create(contact_list=contact_list, contact=contact)
                deletion = in_thread(pool, delete_alone, parent)
                wait_until_a_query_waits_for_a_lock()
            with pytest.raises(IntegrityError, match="list_entry_has_its"):
                deletion.result(60)
        assert ListEntry.objects.count() == 1

    @pytest.mark.parametrize("deleted", ["contact", "list"])
    def test_the_row_that_is_added_waits_for_the_deletion_that_came_first(self, pool, deleted):
        contact_list = ContactListFactory()
        contact = ContactFactory(account=contact_list.account)
        with transaction.atomic():
            delete_alone(contact if deleted == "contact" else contact_list)
            addition = in_thread(
                pool, lambda: ListEntry.objects.create(contact_list=contact_list, contact_id=contact.pk)
            )
            wait_until_a_query_waits_for_a_lock()
        with pytest.raises(IntegrityError, match=f"list_entry_has_its_{deleted}"):
            addition.result(60)
        assert not ListEntry.objects.exists()


def receive(account, name: str) -> CsvUpload:
    content = "\n".join(["number", *NUMBERS]).encode()
    return intake.receive(
        account, io.BytesIO(content), actor=ACTOR, list_name=name, choice=ColumnChoice(is_dynamic=False)
    )


def _locked_contacts() -> int:
    """Return how many contacts were ever locked, as a lock leaves its mark in the row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contacts_contact WHERE xmax <> 0")
        [[count]] = cursor.fetchall()
    return int(count)


class TestUploadsAtOnce:
    @pytest.fixture
    def gate(self, monkeypatch):
        """The first batch stops, its rows stored and not committed, until the gate is opened."""
        genuine, stops = bulk_insert.insert, iter([True])
        gate = threading.Event(), threading.Event()
        reached, opened = gate

        def insert(*arguments, **options):
            inserted = genuine(*arguments, **options)
            if next(stops, False):
                reached.set()
                assert opened.wait(60)
            return inserted

        monkeypatch.setattr(bulk_insert, "insert", insert)
        return gate

    def test_two_uploads_of_the_same_new_people_add_each_once(self, pool, gate):
        account = AccountFactory()
        uploads = [receive(account, name) for name in ("first", "second")]
        reached, opened = gate
        first = in_thread(pool, loading.load, uploads[0].pk)
        assert reached.wait(60)
        second = in_thread(pool, loading.load, uploads[1].pk)
        wait_until_a_query_waits_for_a_lock()
        opened.set()
        first.result(60)
        second.result(60)
        assert Contact.objects.count() == len(NUMBERS)
        for upload in uploads:
            upload.refresh_from_db()
            assert (upload.status, upload.rows_loaded) == ("completed", len(NUMBERS))
            assert upload.filled_list.entries.count() == len(NUMBERS)

    def test_entries_lock_the_contacts_that_were_there_and_none_that_came_with_them(self, pool):
        """A lock is a write to the row, one for each row of a file. Nobody sees a new contact before the commit."""
        account = AccountFactory()
        loading.load(receive(account, "new").pk)
        assert _locked_contacts() == 0
        loading.load(receive(account, "known").pk)
        assert _locked_contacts() == len(NUMBERS)

    def test_a_contact_that_is_deleted_while_a_file_is_loaded_leaves_that_list_too(self, pool, gate):
        account = AccountFactory()
        known = ContactFactory(account=account, number=NUMBERS[2])
        upload = receive(account, "people")
        reached, opened = gate
        load = in_thread(pool, loading.load, upload.pk)
        assert reached.wait(60)
        deletion = in_thread(pool, partial(address_book.delete, actor=ACTOR), known)
        wait_until_a_query_waits_for_a_lock()
        opened.set()
        load.result(60)
        deletion.result(60)
        assert upload.filled_list.entries.count() == len(NUMBERS) - 1
        assert not Contact.objects.filter(number=known.number).exists()

    def test_a_contact_that_was_deleted_just_before_is_added_again(self, pool):
        account = AccountFactory()
        known = ContactFactory(account=account, number=NUMBERS[2])
        upload = receive(account, "people")
        with transaction.atomic():
            known.delete()
            load = in_thread(pool, loading.load, upload.pk)
            wait_until_a_query_waits_for_a_lock()
        load.result(60)
        upload.refresh_from_db()
        assert upload.rows_loaded == upload.filled_list.entries.count() == len(NUMBERS)
        assert Contact.objects.get(number=known.number).pk != known.pk

    def test_a_list_that_is_deleted_while_a_file_is_loaded_leaves_no_entries(self, pool, gate):
        """No request can: a list that is being loaded is refused. A person in psql can."""
        upload = receive(AccountFactory(), "people")
        reached, opened = gate
        load = in_thread(pool, loading.load, upload.pk)
        assert reached.wait(60)
        deletion = in_thread(pool, delete_alone, upload.contact_list)
        wait_until_a_query_waits_for_a_lock()
        opened.set()
        load.result(60)
        with pytest.raises(IntegrityError):
            deletion.result(60)
        assert ContactList.objects.get().entries.count() == len(NUMBERS)
