"""`manage.py do_not_call import`: the file of a registry, by slices, again with a later date, and stopped halfway."""

import io
from datetime import date
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.audit_entry import AuditEntry
from contacts import registry_import, signals
from contacts.do_not_call import listed
from contacts.models import DoNotCall
from tests.factories import ACTOR, AccountFactory, DoNotCallFactory
from tests.plans import forget_statistics

pytestmark = pytest.mark.django_db

NUMBERS = [f"+9198100{n:05d}" for n in range(10)]


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(registry_import, "SLICE", 4)


@pytest.fixture
def run(tmp_path, capsys):
    def run(rows, *options, date="2026-03-01", kind="ncpr"):
        file = tmp_path / "registry.csv"
        file.write_text("\n".join(rows), encoding="utf-8-sig")
        call_command("do_not_call", "import", str(file), "--kind", kind, "--date", date, *options)
        return capsys.readouterr()

    return run


def test_numbers_are_listed_for_all_with_kind_and_date(run):
    told = run(["Number,Since", *(f"{number},2011" for number in NUMBERS)])
    assert told.out.endswith("10 numbers read: 10 added, 0 renewed, 0 known, 0 rejected, 0 removed\n")
    listing = listed(AccountFactory().pk, NUMBERS)[NUMBERS[9]]
    assert (listing.registry, listing.registry_date, listing.for_all) == ("ncpr", date(2026, 3, 1), True)
    assert listing.reason == "on the do-not-call list of all accounts: in the registry ncpr of 2026-03-01"


def test_an_account_may_have_a_registry_of_its_own(run):
    account = AccountFactory(region="IN")
    run(["98100 00001"], "--account", account.sid)
    assert set(listed(account.pk, NUMBERS)) == {NUMBERS[1]}
    assert listed(AccountFactory().pk, NUMBERS) == {}


def test_numbers_without_a_country_code_need_a_region(run):
    with pytest.raises(CommandError, match="no line has a number"):
        run(["9810000001"])
    run(["9810000001"], "--region", "IN")
    assert DoNotCall.objects.get().number == NUMBERS[1]
    with pytest.raises(CommandError, match="--region UK is no country"):
        run(["9810000001"], "--region", "UK")


def test_lines_without_a_number_are_counted_shown_and_passed_over(run):
    told = run([NUMBERS[0], "+9112", "", "987654321012", NUMBERS[1]])
    assert "4 numbers read: 2 added" in told.out
    assert "2 rejected" in told.out
    assert "line 2: ***** is not a valid number" in told.err
    assert "987654321012" not in told.err


def test_a_second_import_adds_nothing_and_leaves_what_others_have_listed(run):
    DoNotCallFactory(for_all=True, number=NUMBERS[0], note="by mail")
    assert "9 added, 0 renewed, 1 known" in run(NUMBERS).out
    assert "0 added, 0 renewed, 10 known" in run(NUMBERS).out
    assert DoNotCall.objects.get(number=NUMBERS[0]).note == "by mail"


def test_a_later_file_renews_and_replaces_what_is_of_its_registry_alone(run):
    account = AccountFactory()
    DoNotCallFactory(for_all=True, number="+919999900001")
    run(["+919999900002"], kind="other")
    run(NUMBERS[:3], "--account", account.sid)
    run(NUMBERS)
    told = run(NUMBERS[5:], "--replace", date="2026-04-01")
    assert "5 numbers read: 0 added, 5 renewed, 0 known, 0 rejected, 5 removed" in told.out
    of_all = DoNotCall.objects.filter(account=None)
    assert set(of_all.values_list("number", flat=True)) == {*NUMBERS[5:], "+919999900001", "+919999900002"}
    assert account.do_not_call.count() == 3
    last = AuditEntry.objects.latest("pk")
    assert (last.verb, last.object_name) == ("deleted", "5 numbers on the do-not-call list of all accounts")
    assert last.what == "not in the registry ncpr of 2026-04-01 any more"


def test_one_that_is_stopped_keeps_and_records_its_slices(run, monkeypatch):
    def stop(done):
        if done.added == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry_import.run(NUMBERS, registry_import.Registry("ncpr", date(2026, 3, 1), "IN"), actor=ACTOR, tell=stop)
    assert DoNotCall.objects.count() == 8
    assert AuditEntry.objects.get().object_name == "8 numbers on the do-not-call list of all accounts"
    run(NUMBERS)
    assert DoNotCall.objects.count() == 10


def test_it_tells_of_those_that_are_new(run):
    told = []

    def receive(account_id, numbers, reason, **_):
        told.append((account_id, sorted(numbers), reason))

    DoNotCallFactory(for_all=True, number=NUMBERS[1])
    signals.numbers_listed.connect(receive)
    try:
        run([*NUMBERS[:6], NUMBERS[0]])
    finally:
        signals.numbers_listed.disconnect(receive)
    assert [(account, numbers) for account, numbers, _ in told] == [
        (None, [NUMBERS[0], *NUMBERS[2:4]]),
        (None, NUMBERS[4:6]),
    ]
    assert told[0][2].endswith("in the registry ncpr of 2026-03-01")


def test_a_file_that_can_not_be_read_is_refused(tmp_path):
    with pytest.raises(CommandError, match="can't be read"):
        call_command("do_not_call", "import", str(tmp_path / "none"), "--kind", "ncpr", "--date", "2026-03-01")
    (tmp_path / "latin").write_bytes(b"Stra\xdfe\n")
    with pytest.raises(CommandError, match="not UTF-8"):
        call_command("do_not_call", "import", str(tmp_path / "latin"), "--kind", "ncpr", "--date", "2026-03-01")


def test_the_standard_input_is_read(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NUMBERS[0]}\n"))
    call_command("do_not_call", "import", "-", "--kind", "ncpr", "--date", "2026-03-01")
    assert DoNotCall.objects.count() == 1


@pytest.mark.parametrize(
    "line",
    [
        "+919810000001",
        "  +91 98100 00001 \t",
        "\ufeff+919810000001\r",
        '"+919810000001","Asha, Pune","said ""no"""',
        "+919810000001;2011;Pune",
        "+919810000001\t2011",
        "+919810000001|2011",
        '="09810000001",x',
        "'9810000001",
        "098100-00001",
        "919810000001,",
        "9810000001.0",
        "tel:+919810000001",
    ],
)
def test_a_number_is_read_as_spreadsheets_and_registries_write_it(run, line):
    told = run(["Mobile,Name", line], "--region", "IN")
    assert "1 numbers read: 1 added" in told.out
    assert DoNotCall.objects.get().number == NUMBERS[1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (",9810000001", "line 2: its first cell is empty"),
        ('"9810000001;9810000002"', "line 2"),
        ("98100O0001", "line 2"),
        ("9.81E+09", "line 2"),
        ("0", "line 2"),
        ("https://example.com/9810000001", "line 2"),
    ],
)
def test_a_line_that_is_not_surely_a_number_is_shown_and_lists_nobody(run, line, why):
    told = run(["Mobile", line, NUMBERS[0]], "--region", "IN")
    assert why in told.err
    assert [entry.number for entry in DoNotCall.objects.all()] == [NUMBERS[0]]


def test_a_quote_that_is_never_closed_swallows_no_line(run):
    told = run([NUMBERS[0], f'{NUMBERS[1]},"said no', f'"{NUMBERS[2]}', *NUMBERS[3:6]])
    assert "6 numbers read: 5 added" in told.out
    assert "line 3" in told.err


def test_empty_rows_and_repeated_numbers_are_no_mistakes(run):
    told = run([NUMBERS[0], ",,,", "", NUMBERS[0], NUMBERS[1], NUMBERS[2], NUMBERS[0], ' ; "" '])
    assert told.out.endswith("5 numbers read: 3 added, 0 renewed, 2 known, 0 rejected, 0 removed\n")


def test_what_follows_far_behind_a_number_is_left_out(run, monkeypatch):
    monkeypatch.setattr("contacts.management.commands.do_not_call.LONGEST_LINE", 100)
    run([f"{NUMBERS[0]},{'x,' * 300}{NUMBERS[1]}", NUMBERS[2]])
    assert {entry.number for entry in DoNotCall.objects.all()} == {NUMBERS[0], NUMBERS[2]}


@pytest.mark.parametrize("rows", [[], ["Mobile"], ["98100", "x"]])
def test_a_file_without_a_number_takes_nobody_off_the_list(run, rows):
    run(NUMBERS)
    with pytest.raises(CommandError, match="no line has a number"):
        run(rows, "--replace", "--remove-most", date="2026-04-01")
    assert DoNotCall.objects.count() == 10


def test_a_file_that_was_cut_off_takes_nobody_off_the_list_unless_that_is_meant(run):
    run(NUMBERS)
    with pytest.raises(CommandError, match="7 numbers of the registry ncpr are not in the file, more than the 3"):
        run(NUMBERS[:3], "--replace", date="2026-04-01")
    assert DoNotCall.objects.count() == 10
    told = run(NUMBERS[:3], "--replace", "--remove-most", date="2026-04-01")
    assert "3 known, 0 rejected, 7 removed" in told.out
    assert DoNotCall.objects.count() == 3


def test_numbers_of_an_accounts_own_registry_are_renewed_too(run):
    account = AccountFactory()
    for options in ([], ["--account", account.sid]):
        run(NUMBERS, *options)
        assert "0 added, 10 renewed, 0 known" in run(NUMBERS, *options, date="2026-04-01").out
        assert "0 added, 0 renewed, 10 known" in run(NUMBERS, *options).out


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (registry_import._RENEW_OWN, "do_not_call_number_is_unique_in_its_account"),
        (registry_import._RENEW_OF_ALL, "do_not_call_number_is_unique_for_all"),
    ],
)
def test_renewing_looks_up_each_number_by_its_index(statement, index):
    """Ten million rows are not read for each slice."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        forget_statistics(cursor)
        cursor.execute("CREATE TEMPORARY TABLE registry_numbers (number text) ON COMMIT DROP")
        params: dict[str, Any] = {"account": 1, "registry": "ncpr", "date": date(2026, 4, 1)}
        cursor.execute("EXPLAIN " + statement, params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan
    assert "Seq Scan on contacts_donotcall" not in plan
