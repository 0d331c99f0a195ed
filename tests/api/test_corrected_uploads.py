"""A file that is uploaded again: the later row of a number counts, within an upload and over uploads."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection, connections
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.models import Call
from contacts import lists
from contacts.csv_uploads import bulk_insert, loading, rejected_rows
from contacts.models import ContactList, CsvUpload, ListEntry
from tests.api.client import Api
from tests.factories import ContactFactory, ContactListFactory, ListEntryFactory

A, B, C = "+919810012345", "+919810012346", "+919810012347"
Rows = Sequence[tuple[str, str]]


def take(api: Api, rows: Rows, name: str = "parents") -> CsvUpload:
    """Upload the rows, and load none of them yet."""
    lines = [f"{number},{fee}" for number, fee in rows]
    return take_file(api, "\n".join(["number,Fee", *lines]) + "\n", name)


def take_file(api: Api, content: str, name: str = "parents") -> CsvUpload:
    response = api.upload(content, list_name=name, type="dynamic")
    return CsvUpload.objects.get(pk=response.data["summary"]["upload_id"])


def rejected_rows_of(upload: CsvUpload) -> str:
    return b"".join(rejected_rows.stream(upload)).decode("utf-8-sig")


def load(upload: CsvUpload) -> CsvUpload:
    loading.load(upload.pk)
    upload.refresh_from_db()
    assert upload.status == "completed", upload.error
    return upload


def stats(api: Api, upload: CsvUpload) -> tuple[int, int, int, int]:
    shown = api.get(f"/csv-status/{upload.pk.hex}").data["stats"]
    assert shown["total"] == shown["success"] + shown["duplicate"] + shown["failed"]
    return shown["success"], shown["duplicate"], shown["failed"], shown["replaced"]


def listed(upload: CsvUpload) -> list[tuple[str, str]]:
    entries = upload.filled_list.entries.order_by("upload_number", "line", "id")
    return list(entries.values_list("contact__number", "values__Fee"))


def heard(api: Api, upload: CsvUpload, **options: bool) -> list[tuple[str, str]]:
    """Return what a new campaign of the list reads to whom."""
    campaign = api.create(numbers=..., lists=[upload.filled_list.pk.hex], campaign_type="dynamic", **options).data
    return list(Call.objects.filter(campaign=campaign["id"]).order_by("id").values_list("number", "variables__Fee"))


def test_a_corrected_row_replaces_the_wrong_one(api):
    load(take(api, [(A, "5000"), (B, "700")]))
    upload = load(take(api, [(A, "500")]))
    assert stats(api, upload) == (1, 0, 0, 1)
    assert sorted(listed(upload)) == [(A, "500"), (B, "700")]
    assert sorted(heard(api, upload)) == [(A, "500"), (B, "700")]
    assert sorted(heard(api, upload, call_duplicate_numbers=True)) == [(A, "500"), (B, "700")]


def test_the_whole_file_again_with_one_correction(api):
    load(take(api, [(A, "5000"), (B, "700"), (C, "1")]))
    upload = load(take(api, [(A, "500"), (B, "700"), (C, "1")]))
    assert stats(api, upload) == (1, 2, 0, 1)
    assert listed(upload) == [(A, "500"), (B, "700"), (C, "1")]


def test_the_same_file_again_changes_nothing(api):
    rows = [(A, "100"), (A, "200"), (B, "300")]
    first = load(take(api, rows))
    before = set(ListEntry.objects.values_list("id", flat=True))
    upload = load(take(api, rows))
    assert stats(api, upload) == (0, 3, 0, 0)
    assert set(ListEntry.objects.values_list("id", flat=True)) == before
    assert listed(first) == rows


def test_a_correction_that_is_taken_back_counts(api):
    load(take(api, [(A, "500")]))
    load(take(api, [(A, "5000")]))
    upload = load(take(api, [(A, "500")]))
    assert stats(api, upload) == (1, 0, 0, 1)
    assert heard(api, upload, call_duplicate_numbers=True) == [(A, "500")]


def test_two_rows_of_a_number_in_one_file_are_two_children_of_whom_the_later_counts(api):
    upload = load(take(api, [(A, "100"), (A, "200")]))
    assert stats(api, upload) == (2, 0, 0, 0)
    assert heard(api, upload) == [(A, "200")]
    assert heard(api, upload, call_duplicate_numbers=True) == [(A, "100"), (A, "200")]


def test_a_row_that_comes_again_at_the_end_is_the_later_one(api):
    upload = load(take(api, [(A, "100"), (A, "200"), (A, "100")]))
    assert stats(api, upload) == (2, 1, 0, 0)
    assert heard(api, upload) == [(A, "100")]


def test_a_row_that_was_there_before_is_the_later_one_where_the_new_file_has_it_later(api):
    load(take(api, [(A, "500")]))
    upload = load(take(api, [(A, "5000"), (A, "500")]))
    assert heard(api, upload) == [(A, "500")]


def test_a_child_that_is_in_the_corrected_file_no_more_is_taken_out(api):
    load(take(api, [(A, "100"), (A, "200")]))
    upload = load(take(api, [(A, "100")]))
    assert stats(api, upload) == (0, 1, 0, 1)
    assert listed(upload) == [(A, "100")]


def test_rejected_rows_replace_nothing(api):
    load(take(api, [(A, "100")]))
    upload = load(take(api, [("+9112", "100")]))
    assert stats(api, upload) == (0, 0, 1, 0)
    assert listed(upload) == [(A, "100")]


def test_campaigns_that_exist_keep_what_they_say(api):
    upload = load(take(api, [(A, "5000")]))
    said = heard(api, upload)
    load(take(api, [(A, "500")]))
    assert list(Call.objects.values_list("number", "variables__Fee")) == said == [(A, "5000")]


def test_another_list_and_another_accounts_stay_as_they_are(api, other):
    elsewhere = load(take(api, [(A, "5000")], name="others"))
    theirs = load(take(other, [(A, "5000")]))
    load(take(api, [(A, "5000")]))
    upload = load(take(api, [(A, "500")]))
    assert [listed(upload), listed(elsewhere), listed(theirs)] == [[(A, "500")], [(A, "5000")], [(A, "5000")]]


def test_a_contact_that_was_removed_from_the_list_comes_back_with_the_new_file(api):
    upload = load(take(api, [(A, "100")]))
    contact = upload.filled_list.entries.get().contact_id
    api.delete(f"/lists/{upload.filled_list.pk.hex}/contacts/{contact.hex}")
    assert stats(api, load(take(api, [(A, "200")]))) == (1, 0, 0, 0)


def test_mended_rejected_rows_stand_beside_the_rows_that_were_loaded(api):
    """The file of rejected rows invites to be sent back: it must not take out the other child of a parent."""
    load(take(api, [(A, "1"), (C, "1")]))
    upload = load(take(api, [(B, "9"), (A, "100"), ("+9112", "200"), (A, "300"), ("+9113", "2")]))
    mended = rejected_rows_of(upload).replace("+9112", A).replace("+9113", C)
    again = load(take_file(api, mended))
    assert stats(api, again) == (2, 0, 0, 1)  # the row of C is of an earlier upload
    assert listed(upload) == [(B, "9"), (A, "100"), (A, "200"), (A, "300"), (C, "2")]
    assert sorted(heard(api, upload)) == [(A, "300"), (B, "9"), (C, "2")]


def test_mended_rejected_rows_are_replaced_by_the_next_upload(api):
    upload = load(take(api, [(A, "100"), ("+9112", "200")]))
    load(take_file(api, rejected_rows_of(upload).replace("+9112", A)))
    last = load(take(api, [(A, "300")]))
    assert stats(api, last) == (1, 0, 0, 2)
    assert listed(upload) == [(A, "300")]


@pytest.mark.parametrize("line", ["", "x", "9999999999", "-1", "2.0"])
def test_mended_rejected_rows_without_their_line_are_read(api, line):
    upload = load(take_file(api, f"line,reason,number,Fee\n{line},,{A},1\n{line},,{A},2\n"))
    assert heard(api, upload) == [(A, "2")]


def test_a_campaign_does_not_take_half_of_an_upload_that_begins_at_that_moment(api, monkeypatch):
    upload = load(take(api, [(A, "1")]))
    genuine = lists.require_loaded

    def require_loaded(found):
        genuine(found)
        take(api, [(A, "2")])

    monkeypatch.setattr(lists, "require_loaded", require_loaded)
    response = api.create(numbers=..., lists=[upload.filled_list.pk.hex], campaign_type="dynamic")
    assert response.is_refused(409, "send the request again")
    assert not Call.objects.exists()


def test_rows_that_are_replaced_leave_room_for_others(api, monkeypatch):
    monkeypatch.setattr("contacts.lists.MAX_ENTRIES", 2)
    load(take(api, [(A, "1"), (B, "1")]))
    upload = load(take(api, [(A, "2"), (B, "2")]))
    assert listed(upload) == [(A, "2"), (B, "2")]


def test_a_static_list_holds_a_contact_once_and_leaves_it_as_it_is(api):
    for name in ("Asha", "Ravi"):
        response = api.upload(f"number,first_name\n{A},{name}\n")
        upload = load(CsvUpload.objects.get(pk=response.data["summary"]["upload_id"]))
    assert stats(api, upload) == (0, 1, 0, 0)
    assert ListEntry.objects.get().contact.first_name == "Asha"


class Killed(BaseException):
    """As SIGKILL: no code below catches it."""


def test_a_worker_that_dies_in_the_middle_is_continued_without_counting_twice(api, monkeypatch):
    monkeypatch.setattr(loading, "BATCH", 2)
    load(take(api, [(number, "old") for number in (A, B, C)]))
    upload = take(api, [(A, "new"), (A, "newer"), (B, "new"), (A, "new"), (C, "new")])
    genuine = bulk_insert.insert
    batches: list[int] = []

    def insert(*args, **options):
        inserted = genuine(*args, **options)
        batches.append(1)
        if len(batches) == 2:
            raise Killed
        return inserted

    with monkeypatch.context() as patch:
        patch.setattr(bulk_insert, "insert", insert)
        with pytest.raises(Killed):
            loading.load(upload.pk)
    CsvUpload.objects.filter(pk=upload.pk).update(heard_at=timezone.now() - timedelta(seconds=61))
    load(upload)
    assert stats(api, upload) == (4, 1, 0, 3)
    assert heard(api, upload) == [(A, "new"), (B, "new"), (C, "new")]


NUMBERS = [A, B, C]
UPLOADS = st.lists(
    st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(["1", "2", "3"])), max_size=6), min_size=1, max_size=4
)
names = count()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uploads=UPLOADS, order=st.randoms(use_true_random=False), batch=st.integers(1, 4))
def test_in_whatever_order_uploads_are_loaded_the_latest_of_a_number_counts(api, monkeypatch, uploads, order, batch):
    monkeypatch.setattr(loading, "BATCH", batch)
    taken = [take(api, rows, name=f"list {next(names)}") for rows in uploads[:1]]
    taken += [take(api, rows, name=taken[0].filled_list.name) for rows in uploads[1:]]
    waiting = list(taken)
    order.shuffle(waiting)
    for upload in waiting:
        load(upload)
        assert upload.rows_total == upload.rows_loaded + upload.rows_duplicate
    last = {number: rows for rows in uploads for number in {number for number, _ in rows}}
    wanted = {number: {fee for other, fee in rows if other == number} for number, rows in last.items()}
    found = listed(taken[0])
    assert sorted(found) == sorted((number, fee) for number, fees in wanted.items() for fee in fees)
    assert len(found) == sum(upload.rows_loaded - upload.rows_replaced for upload in taken)
    if found:
        assert dict(heard(api, taken[0])) == {number: dict(rows)[number] for number, rows in last.items()}


@pytest.mark.django_db(transaction=True)
def test_two_uploads_into_one_list_at_once_see_each_others_rows(api, account, monkeypatch):
    # New contacts would make one upload wait for the other already.
    for number in (A, B):
        ContactFactory(account=account, number=number)
    uploads = [take(api, [(A, "old"), (B, "old")]), take(api, [(A, "new"), (B, "new")])]
    genuine = bulk_insert.insert
    both_are_in = threading.Barrier(2)

    def insert(*args, **options):
        inserted = genuine(*args, **options)
        with suppress(threading.BrokenBarrierError):  # the other one waits for the list
            both_are_in.wait(0.5)
        return inserted

    monkeypatch.setattr(bulk_insert, "insert", insert)

    def run(upload: CsvUpload) -> None:
        try:
            loading.load(upload.pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[upload]) for upload in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(listed(uploads[0])) == [(A, "new"), (B, "new")]


def test_a_batch_does_not_read_the_whole_list(api, account, monkeypatch):
    """PostgreSQL has no statistics of the batch, and would take a scan of a long list for the cheaper way."""
    load(take(api, [(A, "2")]))
    upload = take(api, [(A, "1")])
    contact_list = ContactList.objects.get()
    template = ListEntryFactory(
        contact_list=ContactListFactory(account=account, dynamic=True),
        contact=ContactFactory(account=account),
        values={"Fee": "1"},
        values_digest="1",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_contact (id, number, account_id, first_name, last_name, company_name, email, tag,"
            " created_at, updated_at) SELECT gen_random_uuid(), '+9197' || (10000000 + n), account_id, '', '', '', '',"
            " '', now(), now() FROM contacts_contact, generate_series(1, 20000) AS n WHERE id = %s",
            [template.contact_id],
        )
        cursor.execute(
            "INSERT INTO contacts_listentry (contact_list_id, contact_id, values, values_digest)"
            " SELECT %s, contacts_contact.id, values, values_digest FROM contacts_contact, contacts_listentry"
            " WHERE contact_list_id = %s",
            [contact_list.pk, template.contact_list_id],
        )
        cursor.execute("ANALYZE contacts_contact")
        cursor.execute("ANALYZE contacts_listentry")
    plans: list[str] = []
    genuine = bulk_insert._has_rows_of_others

    def explain(upload):
        with connection.cursor() as cursor:
            params = {"list": upload.contact_list_id, "number": upload.number}
            cursor.execute("EXPLAIN " + bulk_insert._REPLACE_ENTRIES, params)
            plans.extend(line for (line,) in cursor.fetchall())
        return genuine(upload)

    monkeypatch.setattr(bulk_insert, "_has_rows_of_others", explain)
    load(upload)
    assert plans
    assert not [line for line in plans if "Seq Scan on contacts" in line], "\n".join(plans)
