"""Loading CSV files: counts, duplicates, crashes, limits."""

import codecs
import io
import math
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.csv_uploads import bulk_insert, intake, loading, rejected_rows, stored_file, upload_states
from contacts.csv_uploads.columns import ColumnChoice
from contacts.models import Contact, CsvPiece, CsvUpload, ListEntry
from core import csv_formulas
from core.errors import Conflict
from tests.factories import ACTOR, AccountFactory, ContactFactory

pytestmark = pytest.mark.django_db

SMALL = 3


@pytest.fixture
def account(db):
    return AccountFactory()


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"+9198{n:08d}" for n in range(10_000_000 + start, 10_000_000 + start + count)]


def csv_of(rows, header: str = "number") -> str:
    return "\n".join([header, *rows]) + "\n"


def receive(account, content: str | bytes, *, kind: str = "static", name: str = "parents", **choice: Any) -> CsvUpload:
    raw = content.encode() if isinstance(content, str) else content
    chosen = ColumnChoice(kind == "dynamic", **choice)
    return intake.receive(account, io.BytesIO(raw), actor=ACTOR, list_name=name, choice=chosen)


def loaded(account, content: str | bytes, **options) -> CsvUpload:
    upload = receive(account, content, **options)
    loading.load(upload.pk)
    upload.refresh_from_db()
    return upload


def counts(upload: CsvUpload) -> tuple[int, int, int, int]:
    return upload.rows_total, upload.rows_loaded, upload.rows_duplicate, upload.rows_rejected


def listed(upload: CsvUpload) -> list[str]:
    return list(upload.filled_list.entries.order_by("id").values_list("contact__number", flat=True))


def test_rows_that_the_account_does_not_call_are_rejected(account):
    upload = loaded(account, csv_of(["+919810012345", "+14155550123", "+911861123456789", "9810012346"]))
    assert counts(upload) == (4, 2, 0, 2)
    reasons = list(upload.rejected.order_by("line").values_list("reason", flat=True))
    assert reasons[0] == "not a number to call: +14155550123; it is a number of US, and this account calls IN only"
    assert reasons[1].startswith("not a number to call: +911861123456789; it is a premium-rate number")
    account.allowed_countries, account.allowed_kinds = ["IN", "US"], ["mobile", "landline", "premium-rate"]
    account.save()
    upload = loaded(account, csv_of(["+14155550123", "+911861123456789"]), name="allowed")
    assert counts(upload) == (2, 2, 0, 0)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(loading, "BATCH", SMALL)
    monkeypatch.setattr(stored_file, "PIECE_BYTES", 7)  # lines and characters are cut by the pieces


def test_contacts_are_added_and_listed_in_the_order_of_the_file(account, small_batches):
    rows = list(reversed(numbers(10)))
    upload = loaded(account, csv_of([f"{number},अशा" for number in rows], "number,first_name"))
    assert (upload.status, counts(upload)) == ("completed", (10, 10, 0, 0))
    assert listed(upload) == rows
    assert set(Contact.objects.values_list("first_name", flat=True)) == {"अशा"}


def test_the_file_is_deleted_when_it_has_been_loaded(account):
    upload = receive(account, csv_of(numbers(2)))
    assert CsvPiece.objects.count() == 1
    loading.load(upload.pk)
    assert CsvPiece.objects.count() == 0


def test_duplicates_in_the_file_and_against_the_list_are_counted(account, small_batches):
    first, second, *more = numbers(6)
    upload = loaded(account, csv_of([first, second]))
    assert counts(upload) == (2, 2, 0, 0)
    upload = loaded(account, csv_of([second, *more, more[0], "+9112"]))
    assert counts(upload) == (7, 4, 2, 1)
    assert listed(upload) == [first, second, *more]


def test_a_contact_of_the_account_is_put_into_the_list_and_stays_as_it_is(account):
    contact = ContactFactory(account=account, number=numbers(1)[0], first_name="Asha")
    upload = loaded(account, csv_of([f"{contact.number},Another"], "number,first_name"))
    assert counts(upload) == (1, 1, 0, 0)
    contact.refresh_from_db()
    assert contact.first_name == "Asha"


def test_another_accounts_contact_is_another_contact(account):
    theirs = ContactFactory(number=numbers(1)[0])
    upload = loaded(account, csv_of([theirs.number]))
    assert upload.filled_list.entries.get().contact.account == account


def test_a_dynamic_row_is_a_duplicate_when_all_its_values_are(account):
    number = numbers(1)[0]
    upload = loaded(account, csv_of([f"{number},1", f"{number},2", f"{number},1"], "number,Fee"), kind="dynamic")
    assert counts(upload) == (3, 2, 1, 0)
    assert [entry.values for entry in ListEntry.objects.order_by("id")] == [{"Fee": "1"}, {"Fee": "2"}]


def test_a_dynamic_list_is_extended_by_files_with_its_own_columns_only(account):
    loaded(account, csv_of([f"{numbers(1)[0]},1"], "number,Fee"), kind="dynamic")
    upload = loaded(account, csv_of([f"2,{numbers(2)[1]}"], "Fee,number"), kind="dynamic")
    assert upload.rows_loaded == 1
    with pytest.raises(Conflict, match=r"line 1: .* columns number, Fee"):
        receive(account, csv_of([], "number,Name"), kind="dynamic")


def test_a_list_keeps_its_type(account):
    receive(account, csv_of([]))
    with pytest.raises(Conflict, match="parents is static"):
        receive(account, csv_of([]), kind="dynamic")


def test_a_header_alone_is_an_upload_without_rows(account):
    assert counts(loaded(account, "number")) == (0, 0, 0, 0)


def test_a_stray_quote_costs_its_own_lines_and_nobody_elses(account, small_batches):
    first, *between, last = numbers(10)
    rows = [f'{first},"Asha,Rao', *[f"{number},Mina,Shah" for number in between], f'{last},Ravi",x']
    upload = loaded(account, csv_of(rows, "number,first_name,last_name"))
    assert (upload.status, counts(upload)) == ("completed", (10, 8, 0, 2))
    assert listed(upload) == between
    assert [row.line for row in upload.rejected.order_by("line")] == [2, 11]
    assert upload.rejected.get(line=2).cells == [first, '"Asha', "Rao"]


def test_a_stray_quote_gives_no_other_rows_values_to_a_dynamic_row(account):
    first, *between, last = numbers(4)
    rows = [f'{first},"Asha,5', *[f"{number},Mina,7" for number in between], f'{last},Ravi",9']
    upload = loaded(account, csv_of(rows, "number,Name,Fee"), kind="dynamic")
    assert [entry.values for entry in ListEntry.objects.order_by("id")] == [{"Name": "Mina", "Fee": "7"}] * 2
    assert counts(upload) == (4, 2, 0, 2)


def test_more_rows_than_the_limit_are_refused_with_the_line(account, small_batches, monkeypatch):
    monkeypatch.setattr(loading, "MAX_ROWS", 6)
    assert loaded(account, csv_of(numbers(6))).status == "completed"
    upload = loaded(account, csv_of(numbers(7)), name="more")
    assert (upload.status, upload.error.partition(":")[0]) == ("failed", "line 8")


def test_a_list_takes_no_more_than_it_may(account, small_batches, monkeypatch):
    monkeypatch.setattr("contacts.lists.MAX_ENTRIES", 4)
    upload = loaded(account, csv_of(numbers(7)))
    assert (upload.status, upload.rows_loaded, upload.filled_list.entries.count()) == ("failed", 3, 3)
    assert "line 5" in upload.error


class Killed(BaseException):
    """As SIGKILL: no code below catches it."""


@pytest.fixture
def killed_in_the_second_batch(account, small_batches, monkeypatch):
    """Return an upload whose worker died between two batches: three of its ten rows are loaded."""
    upload = receive(account, csv_of([*numbers(5), "+9112", *numbers(4, start=5)]))
    genuine = loading._store

    def store(row, *args, **options):
        if row.rows_total:
            raise Killed
        return genuine(row, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "_store", store)
        with pytest.raises(Killed):
            loading.load(upload.pk)
    upload.refresh_from_db()
    assert (upload.status, counts(upload)) == ("in-progress", (3, 3, 0, 0))
    return upload


def heard_of(upload: CsvUpload, **ago: float) -> None:
    CsvUpload.objects.filter(pk=upload.pk).update(heard_at=timezone.now() - timedelta(**ago))


class TestAKilledWorker:
    def test_another_continues_where_it_stopped(self, killed_in_the_second_batch, monkeypatch):
        upload = killed_in_the_second_batch
        heard_of(upload, seconds=61)
        enqueued = []
        monkeypatch.setattr(upload_states, "enqueue_once", lambda *args: enqueued.append(args))
        upload_states.resume(timezone.now())
        assert enqueued == [("contacts.load_csv", "contacts.load_csv")]
        assert loading.take_turn(math.inf)
        upload.refresh_from_db()
        assert (upload.status, counts(upload)) == ("completed", (10, 9, 0, 1))
        assert listed(upload) == numbers(9)
        assert upload.rejected.get().line == 7

    def test_the_place_where_another_continues_is_that_of_the_rows_stored(self, killed_in_the_second_batch):
        """And not that of the reader, which may be further."""
        upload = killed_in_the_second_batch
        assert (upload.bytes_read, upload.lines_read) == (len(csv_of(numbers(3))), 4)

    def test_a_line_that_was_looked_ahead_at_is_read_again(self, account, small_batches, monkeypatch):
        """The third row opens a quote, and the place after it is that of the fourth."""
        first, second, third, *more = numbers(6)
        upload = receive(account, csv_of([first, second, f'"{third}', *more]))
        genuine = loading._store

        def store(row, *args, **options):
            if row.rows_total:
                raise Killed
            return genuine(row, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(loading, "_store", store)
            with pytest.raises(Killed):
                loading.load(upload.pk)
        upload.refresh_from_db()
        assert (upload.bytes_read, upload.lines_read) == (len(csv_of([first, second, f'"{third}'])), 4)
        heard_of(upload, seconds=61)
        loading.load(upload.pk)
        upload.refresh_from_db()
        assert (upload.status, counts(upload)) == ("completed", (6, 5, 0, 1))
        assert listed(upload) == [first, second, *more]

    def test_no_other_continues_while_it_may_still_live(self, killed_in_the_second_batch):
        upload = killed_in_the_second_batch
        heard_of(upload, seconds=50)
        assert upload_states.next_in_turn(timezone.now()) is None
        loading.load(upload.pk)
        upload.refresh_from_db()
        assert counts(upload) == (3, 3, 0, 0)

    def test_a_file_at_which_every_worker_dies_is_given_up(self, killed_in_the_second_batch):
        upload = killed_in_the_second_batch
        CsvUpload.objects.update(idle_starts=upload_states.MAX_IDLE_STARTS)
        heard_of(upload, seconds=61)
        assert upload_states.next_in_turn(timezone.now()) is None
        upload_states.resume(timezone.now())
        upload.refresh_from_db()
        assert upload.status == "failed"
        assert "failed 5 times" in upload.error
        assert "3 rows" in upload.error

    def test_a_worker_that_was_away_for_too_long_loads_nothing_twice(self, account, small_batches, monkeypatch):
        upload = receive(account, csv_of(numbers(10)))
        genuine = loading._store
        overtaken: list[bool] = []

        def store(*args, **options):
            if not overtaken:
                overtaken.append(True)
                heard_of(upload, seconds=61)
                loading.load(upload.pk)
            return genuine(*args, **options)

        monkeypatch.setattr(loading, "_store", store)
        loading.load(upload.pk)
        upload.refresh_from_db()
        assert (upload.status, counts(upload)) == ("completed", (10, 10, 0, 0))

    def test_nor_when_the_worker_that_took_over_is_still_loading(self, account, small_batches, monkeypatch):
        upload = receive(account, csv_of(numbers(10)))
        genuine = loading._store
        batches: list[int] = []

        def store(row, *args, **options):
            batches.append(row.rows_total)
            if len(batches) == 1:  # this one sleeps, while another loads a batch and continues with the next
                heard_of(upload, seconds=61)
                with pytest.raises(Killed):
                    loading.load(upload.pk)
            elif len(batches) == 3:
                raise Killed
            return genuine(row, *args, **options)

        monkeypatch.setattr(loading, "_store", store)
        loading.load(upload.pk)
        upload.refresh_from_db()
        assert (upload.status, counts(upload), len(batches)) == ("in-progress", (3, 3, 0, 0), 3)


@pytest.fixture
def asked(monkeypatch):
    """How many numbers each look for known contacts was about."""
    asked: list[int] = []
    genuine = bulk_insert._known

    def look_up(cursor, account_id, wanted):
        asked.append(len(wanted))
        return genuine(cursor, account_id, wanted)

    monkeypatch.setattr(bulk_insert, "_known", look_up)
    return asked


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_batch_that_was_taken_for_new_people_leaves_no_trace_and_finds_those_that_are_known(
    account, asked, monkeypatch, kind
):
    """Of six numbers the first one alone is looked up, and the account has the third."""
    monkeypatch.setattr(bulk_insert, "_SAMPLE", 1)
    rows = numbers(6)
    contact = ContactFactory(account=account, number=rows[2], first_name="Asha")
    upload = loaded(account, csv_of([f"{number},Rao" for number in [*rows, rows[0]]], "number,first_name"), kind=kind)
    assert asked == [1, 6]
    assert (upload.status, counts(upload)) == ("completed", (7, 6, 1, 0))
    assert listed(upload) == rows
    assert Contact.objects.count() == 6
    contact.refresh_from_db()
    assert contact.first_name == "Asha"


def test_a_batch_of_new_people_is_looked_up_by_a_sample(account, asked):
    assert counts(loaded(account, csv_of(numbers(120)))) == (120, 120, 0, 0)
    assert asked == [40]


def test_batches_commit_without_waiting_for_the_disk_and_the_end_of_an_upload_waits(account, small_batches):
    upload = receive(account, csv_of(numbers(2 * SMALL)))
    with CaptureQueriesContext(connection) as made:
        loading.load(upload.pk)
    lazy = [n for n, query in enumerate(made) if query["sql"] == "SET LOCAL synchronous_commit = off"]
    end = [n for n, query in enumerate(made) if "SET \"status\" = 'completed'" in query["sql"]]
    assert len(lazy) == 2
    assert all(number < end[0] for number in lazy)


def test_a_batch_does_not_read_the_whole_address_book(account, monkeypatch):
    """PostgreSQL prefers to, by itself, from about ten thousand contacts on."""
    known = 20_000
    # In each sample, so that all numbers are looked up too.
    template = ContactFactory(account=account, number=numbers(1)[0])
    columns = "account_id, first_name, last_name, company_name, email, tag, custom, created_at, updated_at"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO contacts_contact (id, number, {columns})"
            f" SELECT gen_random_uuid(), '+9197' || (10000000 + n), {columns}"
            " FROM contacts_contact, generate_series(1, %s) AS n WHERE id = %s",
            [known, template.pk],
        )
        cursor.execute("ANALYZE contacts_contact")
    plans: list[str] = []
    genuine = bulk_insert._known

    def look_up(cursor, account_id, wanted):
        cursor.execute("EXPLAIN " + bulk_insert._KNOWN, {"account": account_id, "numbers": " ".join(wanted)})
        plans.extend(line for (line,) in cursor.fetchall())
        return genuine(cursor, account_id, wanted)

    monkeypatch.setattr(bulk_insert, "_known", look_up)
    loaded(account, csv_of(numbers(5_000)))
    assert sum("Index Scan" in line for line in plans) == 2, "a look at a sample, and one at all"
    assert not [line for line in plans if "Seq Scan on contacts_contact" in line], "\n".join(plans)


def test_an_upload_whose_message_was_lost_is_enqueued_again(account, monkeypatch):
    enqueued: list[str] = []
    monkeypatch.setattr(upload_states, "enqueue_once", lambda key, _task: enqueued.append(key))
    upload_states.resume(timezone.now())
    assert not enqueued
    receive(account, csv_of(numbers(1)))  # its message is sent by a commit that never comes here
    upload_states.resume(timezone.now())
    assert enqueued == [upload_states.LOAD]


def test_an_upload_is_loaded_once_however_often_it_is_enqueued(account):
    upload = loaded(account, csv_of(numbers(2)))
    loading.load(upload.pk)
    upload.refresh_from_db()
    assert counts(upload) == (2, 2, 0, 0)


def test_the_rejected_rows_are_a_csv_with_line_reason_and_cells(account):
    upload = loaded(account, csv_of(['+9112,"=cmd|x"', "@a,-1"], "number,first_name"))
    content = b"".join(rejected_rows.stream(upload))
    assert content.startswith(codecs.BOM_UTF8), "Excel reads it as UTF-8"
    assert content.decode("utf-8-sig").splitlines() == [
        "line,reason,number,first_name",
        "2,not a valid number: +9112,+9112,'=cmd|x",
        "3,not a valid number: @a; the character “@” (U+0040 COMMERCIAL AT) is not part of a number,'@a,'-1",
    ]


def test_the_rejected_rows_have_the_loaded_columns_and_what_is_beyond_them(account):
    upload = loaded(account, csv_of(["x,+9112,Asha", "x,+9112,Asha,y"], "City,Mobile,Name"), ignores_others=True)
    assert b"".join(rejected_rows.stream(upload)).decode("utf-8-sig").splitlines() == [
        "line,reason,number,first_name",
        "2,not a valid number: +9112,+9112,Asha",
        '3,"the row has 4 cells, the header 3: put quotes around a cell that holds the delimiter",+9112,Asha,y',
    ]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_the_rejected_rows_are_taken_when_their_numbers_are_mended(account, kind):
    number = numbers(1)[0]
    header = "number,first_name,=Fee" if kind == "dynamic" else "number,first_name,tag"
    upload = loaded(account, csv_of(["+9112,आशा,-5"], header), kind=kind)
    mended = b"".join(rejected_rows.stream(upload)).replace(b",+9112,", f",{number},".encode())
    upload = loaded(account, mended, kind=kind)
    assert counts(upload) == (1, 1, 0, 0)
    assert Contact.objects.get().first_name == "आशा"
    values = upload.filled_list.entries.get().values
    assert values == {"first_name": "आशा", "=Fee": "-5"} if kind == "dynamic" else Contact.objects.get().tag == "-5"


def test_rows_that_are_rejected_again_have_their_line_in_the_file_that_was_sent_back(account):
    upload = loaded(account, csv_of([numbers(1)[0], "+9112"]))
    again = loaded(account, b"".join(rejected_rows.stream(upload)))
    assert b"".join(rejected_rows.stream(again)).decode("utf-8-sig").splitlines() == [
        "line,reason,number",
        "2,not a valid number: +9112,+9112",
    ]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("=1", "'=1"), ("+1+1", "'+1+1"), ("-1", "'-1"), ("@a", "'@a"), ("\t1", "'\t1"), ("\uff1d1", "'\uff1d1"),
     ("+9112", "+9112"), ("Asha", "Asha"), ("", "")],
)  # fmt: skip
def test_formulas_are_neutralised(cell, shown):
    assert csv_formulas.neutral(cell) == shown


def test_memory_stays_flat_over_fifty_thousand_rows(account, monkeypatch):
    """The numbers are taken as they are: what phonenumbers costs in time is not what is measured here."""
    monkeypatch.setattr("contacts.numbers.read", lambda number, _region: number)
    upload = receive(
        account, csv_of([f"{number},Asha,Rao" for number in numbers(50_000)], "number,first_name,last_name")
    )
    small = receive(account, csv_of(numbers(5_000, start=100_000)), name="warm up")
    loading.load(small.pk)
    tracemalloc.start()
    loading.load(upload.pk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    upload.refresh_from_db()
    assert counts(upload) == (50_000, 50_000, 0, 0)
    assert peak < 16_000_000, f"{peak:,} bytes"
