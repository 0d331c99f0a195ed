"""`manage.py do_not_call import`: the file of a registry, by slices, again with a later date, and stopped halfway."""

import io
from datetime import date

import pytest
from django.core.management import CommandError, call_command

from accounts.audit_entry import AuditEntry
from contacts import registry_import, signals
from contacts.do_not_call import listed
from contacts.models import DoNotCall
from tests.factories import ACTOR, AccountFactory, DoNotCallFactory

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
        registry_import.run(
            NUMBERS, registry_import.Registry("ncpr", date(2026, 3, 1), "IN"), actor=ACTOR, replace=True, tell=stop
        )
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
