"""The loader's turns by account, and its memory whatever a file holds."""

import math
import tracemalloc
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from contacts.csv_uploads import loading, rejected_rows, upload_states
from contacts.csv_uploads.lines import MAX_LINE_BYTES
from contacts.models import CsvUpload
from tests.contacts.test_csv_upload import Killed, counts, csv_of, heard_of, listed, loaded, numbers, receive
from tests.contacts.test_csv_workbooks import book
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

A_BATCH = 0.0  # seconds: a turn of one batch


@pytest.fixture
def account(db):
    return AccountFactory()


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(loading, "BATCH", 3)
    monkeypatch.setattr(loading, "_open_files", loading._OpenFiles())
    # Or on a busy machine a turn might be longer for the way to its first batch.
    monkeypatch.setattr(loading, "TURN_SECONDS", math.inf)


def statuses(*uploads: CsvUpload) -> list[str]:
    by_id = {upload.pk: upload.status for upload in CsvUpload.objects.filter(pk__in=[row.pk for row in uploads])}
    return [by_id[upload.pk] for upload in uploads]


def take_turns(count: int) -> None:
    for _ in range(count):
        assert loading.take_turn(A_BATCH)


def turns_until_loaded() -> int:
    turns = 0
    while loading.take_turn(A_BATCH):
        turns += 1
    return turns


def test_a_small_file_waits_for_one_turn_of_each_other_account(account):
    large = [receive(account, csv_of(numbers(30)), name=f"large {n}") for n in range(6)]
    take_turns(1)
    small = receive(AccountFactory(), csv_of(numbers(1)))
    take_turns(1)
    assert statuses(small, *large) == ["completed", *["in-progress"] * 6]


def test_an_account_of_many_small_files_takes_its_turns_like_any_other(account):
    """Each of them has never had a turn. The account has."""
    many = [receive(account, csv_of(numbers(1)), name=f"small {n}") for n in range(6)]
    other = receive(AccountFactory(), csv_of(numbers(9)))
    take_turns(6)
    assert Counter(statuses(*many)) == {"completed": 3, "in-progress": 3}
    other.refresh_from_db()
    assert other.rows_total == 9


def test_an_accounts_own_small_file_is_loaded_beside_its_large_one(account):
    large = receive(account, csv_of(numbers(30)))
    take_turns(2)
    small = receive(account, csv_of(numbers(1)), name="small")
    take_turns(1)
    assert statuses(large, small) == ["in-progress", "completed"]


def test_an_accounts_files_go_on_in_the_order_in_which_they_came(account):
    first, second = (receive(account, csv_of(numbers(12)), name=name) for name in ("first", "second"))
    take_turns(4)  # one for the second file, whose first turn it is
    assert statuses(first, second) == ["in-progress", "in-progress"]
    take_turns(1)
    assert statuses(first, second) == ["completed", "in-progress"]


@pytest.mark.parametrize("content", [csv_of(numbers(10)), book([["number"], *([number] for number in numbers(10))])])
@pytest.mark.parametrize("is_kept_open", [True, False])
def test_a_file_goes_on_where_its_last_turn_ended(account, content, is_kept_open, monkeypatch):
    if not is_kept_open:
        monkeypatch.setattr(loading._open_files, "_MOST", 0)
    upload = receive(account, content)
    assert turns_until_loaded() == 4
    upload.refresh_from_db()
    assert (upload.status, counts(upload), upload.is_held) == ("completed", (10, 10, 0, 0), False)
    assert listed(upload) == numbers(10)


def test_a_turn_lasts_as_long_as_the_way_to_its_place(monkeypatch):
    """So that all turns of a workbook that is read from its start in each take twice its time, not its square."""
    monkeypatch.setattr(loading, "TURN_SECONDS", 0.5)
    assert [loading._length_of_turn(0.5, way) for way in (0.0, 0.4, 0.6, 20.0)] == [0.5, 0.5, 0.6, 20.0]
    assert loading._length_of_turn(math.inf, 20.0) == math.inf


def test_a_file_that_another_worker_read_on_is_not_read_from_the_old_place(account):
    upload = receive(account, csv_of(numbers(12)))
    take_turns(1)
    kept = loading._open_files
    loading._open_files = loading._OpenFiles()  # another worker's
    take_turns(1)
    loading._open_files = kept
    turns_until_loaded()
    upload.refresh_from_db()
    assert (upload.status, counts(upload)) == ("completed", (12, 12, 0, 0))


def test_two_workers_never_load_for_one_account_at_once(account):
    first = receive(account, csv_of(numbers(9)))
    receive(account, csv_of(numbers(9)), name="second")
    assert upload_states.begin(first.pk, timezone.now())
    assert upload_states.next_in_turn(timezone.now()) is None
    other = receive(AccountFactory(), csv_of(numbers(1)))
    assert upload_states.next_in_turn(timezone.now()) == other.pk


def test_a_worker_that_died_in_its_turn_keeps_its_account_waiting_for_a_minute_at_most(account, monkeypatch):
    upload = receive(account, csv_of(numbers(9)))

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loading, "_store", die)
        with pytest.raises(Killed):
            loading.take_turn(A_BATCH)
    assert upload_states.next_in_turn(timezone.now()) is None
    heard_of(upload, seconds=61)
    assert upload_states.next_in_turn(timezone.now()) == upload.pk


def test_a_turn_without_rows_counts_as_progress(account, monkeypatch):
    """A file may begin with millions of blank lines."""
    monkeypatch.setattr(loading, "BATCH_BYTES", 10)
    upload = receive(account, csv_of(["\n" * 99, *numbers(2)]))
    assert turns_until_loaded() > upload_states.MAX_IDLE_STARTS
    upload.refresh_from_db()
    assert (upload.status, counts(upload), upload.idle_starts) == ("completed", (2, 2, 0, 0), 0)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("cells", "x" + "," * (MAX_LINE_BYTES - 100)),
        ("filled cells", "ab," * (MAX_LINE_BYTES // 3 - 100)),
        ("quoted cells", '"",' * (MAX_LINE_BYTES // 3 - 100)),
        ("an open quote", '"' + "ab," * (MAX_LINE_BYTES // 4)),
        ("lines", 'x,"' + "\n" * (MAX_LINE_BYTES // 16) + '"'),
        ("one cell", "x" * (MAX_LINE_BYTES - 100)),
        ("digits", "9" * (MAX_LINE_BYTES - 100)),
        ("one line", '"ab",' * (4 * MAX_LINE_BYTES)),
    ],
)
def test_memory_stays_flat_whatever_a_record_holds(account, monkeypatch, name, row):
    monkeypatch.setattr(loading, "BATCH", 5000)
    monkeypatch.setattr(loading, "BATCH_BYTES", 4 * MAX_LINE_BYTES)
    header = "number," + ",".join(f"c{n}" for n in range(99))
    upload = receive(account, csv_of([row] * 24, header), ignores_others=True)
    tracemalloc.start()
    loading.load(upload.pk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.start()
    assert sum(len(part) for part in rejected_rows.stream(upload))
    _, peak_of_rejected = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    upload.refresh_from_db()
    assert upload.status == "completed"
    assert max(peak, peak_of_rejected) < 12_000_000, f"{name}: {peak:,} and {peak_of_rejected:,} bytes"


def test_a_row_of_very_many_cells_is_rejected_with_their_number(account):
    upload = loaded(account, csv_of([numbers(1)[0] + ",x" * 20_000, numbers(2)[1]]))
    assert counts(upload) == (2, 1, 0, 1)
    rejected = upload.rejected.get()
    assert rejected.reason.startswith("the row has 20001 cells, the header 1:")
    assert len(rejected.cells) == 1000


def test_a_file_is_given_up_after_a_day_of_dying_workers_only_where_none_loads_a_row(account):
    upload = receive(account, csv_of(numbers(30)))
    take_turns(9)
    upload.refresh_from_db()
    assert upload.idle_starts == 0
    assert upload_states.begin(upload.pk, timezone.now() + timedelta(days=1))
