"""The report of a campaign is stored before its first row is deleted, or the campaign stays."""

from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.utils import timezone
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from campaigns.models import Call, Campaign
from core import setting_rules
from core.environment import Environment
from reports import csv_report
from retention import campaigns_due, deletion, kept_reports, purge
from tests.conftest import NUMBERS
from tests.retention.conftest import days

FILE_SYSTEM = "django.core.files.storage.FileSystemStorage"
OTHERS = NUMBERS[50:53]


class FullStorage(FileSystemStorage):
    def _save(self, name, content):
        content.read(10)
        raise OSError(28, "No space left on device")


@pytest.fixture
def folder(settings, tmp_path):
    settings.CAMPAIGNS_KEPT_DAYS = 10
    settings.STORAGES = settings.STORAGES | {"reports": {"BACKEND": FILE_SYSTEM, "OPTIONS": {"location": tmp_path}}}
    return tmp_path


@pytest.fixture
def full(settings) -> None:
    settings.CAMPAIGNS_KEPT_DAYS = 10
    settings.STORAGES = settings.STORAGES | {
        "reports": {"BACKEND": f"{__name__}.FullStorage", "OPTIONS": {"location": "/tmp"}}
    }


def run() -> list[purge.Slice]:
    return list(purge.slices(campaigns_due.end_before(timezone.now())))


def report_of(campaign) -> bytes:
    loaded = Campaign.objects.select_related("account", "caller_id", "custom_field").get(pk=campaign.pk)
    return b"".join(csv_report.stream(loaded))


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_report_is_stored_as_it_was_under_its_account_and_the_day_of_its_end(rig, over, folder):
    kept = over()
    report = report_of(kept.campaign)
    rig.clock.shift(days(11))
    run()
    assert kept.is_gone
    [file] = stored(folder)
    name = f"{rig.account.sid}/2026-03-02-campaign-{kept.campaign.pk.hex}.csv"
    assert (str(file.relative_to(folder)), file.read_bytes()) == (name, report)
    assert report.count(b"\n") == 6


def test_it_is_complete_before_the_first_row_is_deleted(rig, over, folder, monkeypatch):
    kept = over()
    rig.clock.shift(days(11))
    monkeypatch.setattr("core.failpoints.reached", lambda name: seen.append((name, kept.is_whole, stored(folder))))
    seen: list = []
    run()
    name, is_whole, files = seen[0]
    assert (name, is_whole, len(files)) == ("report-kept", True, 1)


def test_without_a_storage_nothing_is_written(rig, over, folder, settings):
    settings.STORAGES = {name: options for name, options in settings.STORAGES.items() if name != "reports"}
    kept = over()
    rig.clock.shift(days(11))
    run()
    assert kept.is_gone
    assert stored(folder) == []


def test_a_campaign_whose_report_can_not_be_stored_stays_and_says_so(rig, over, full):
    first, second = over(), over(OTHERS)
    rig.clock.shift(days(11))
    with capture_logs() as logged:
        failures = [done.failure for done in run()]
    assert first.is_whole
    assert second.is_whole
    assert len(failures) == 2
    assert failures[0].endswith("could not be stored: OSError: [Errno 28] No space left on device")
    assert [entry["event"] for entry in logged if entry["log_level"] == "error"] == ["campaign_not_purged"] * 2
    assert not Campaign.objects.filter(is_purging=True).exists()


def test_a_storage_that_fails_is_not_asked_at_every_turn(rig, over, full, redis):
    kept = over()
    rig.clock.shift(days(11))
    assert len(run()) == 1
    assert run() == []
    before = campaigns_due.end_before(timezone.now())
    assert len(list(purge.slices(before, tries_again=True))) == 1
    redis.flushdb()
    assert len(run()) == 1
    assert kept.is_whole


def test_a_crash_after_the_report_was_stored_costs_a_second_file_at_the_most(rig, over, folder, monkeypatch, redis):
    kept = over()
    report = report_of(kept.campaign)
    rig.clock.shift(days(11))

    def die(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("core.failpoints.reached", die)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.undo()
    assert kept.is_whole
    run()
    assert kept.is_gone
    assert {file.read_bytes() for file in stored(folder)} == {report}


def test_a_report_that_another_process_has_begun_to_empty_is_not_stored_over_the_whole_one(rig, over, folder):
    """The second process has read the campaign before the first one deleted the rows of it."""
    over()
    rig.clock.shift(days(11))
    before = campaigns_due.end_before(timezone.now())
    assert before
    [seen_by_second] = campaigns_due.oldest_first(campaigns_due.settled(campaigns_due.ended(before)))
    first = purge.slices(before)
    while next(first).model is not Call:
        pass
    assert kept_reports.keep(seen_by_second) == ""
    assert not purge._begin(seen_by_second, tries_again=True)
    list(first)
    assert kept_reports.keep(seen_by_second) == ""
    [file] = stored(folder)
    assert file.read_bytes().count(b"\n") == 6


def test_without_redis_nothing_is_stored_and_nothing_deleted(rig, over, folder, monkeypatch):
    kept = over()
    rig.clock.shift(days(11))

    class Away:
        def set(self, *_args, **_options):
            raise RedisError

    monkeypatch.setattr(kept_reports, "redis_client", Away)
    with pytest.raises(RedisError):
        run()
    assert kept.is_whole
    assert stored(folder) == []


def test_the_report_of_a_campaign_that_stays_is_unaffected(rig, over, folder):
    old = over()
    rig.clock.shift(days(5))
    young = over(OTHERS)
    before = report_of(young.campaign)
    rig.clock.shift(days(6))
    run()
    assert old.is_gone
    assert report_of(young.campaign) == before


def test_a_large_report_is_deleted_in_slices_all_the_same(rig, over, folder, monkeypatch):
    monkeypatch.setattr(deletion, "SLICE", 2)
    kept = over(9)
    rig.clock.shift(days(11))
    run()
    assert kept.is_gone


@pytest.mark.parametrize(
    ("backend", "options", "message"),
    [
        (
            "storages.no.such.Storage",
            "",
            "REPORTS_STORAGE is 'storages.no.such.Storage': it must be the path",
        ),
        ("Storage", "", "REPORTS_STORAGE is 'Storage'"),
        (FILE_SYSTEM, "/srv/reports", "REPORTS_STORAGE_OPTIONS is •••• (12 characters): it must be a JSON object"),
        (FILE_SYSTEM, "[1]", "it must be a JSON object"),
        ("", "{}", "it must be left out where REPORTS_STORAGE names no storage"),
    ],
)
def test_a_storage_that_makes_no_sense_stops_the_start(backend, options, message):
    environment = Environment({"REPORTS_STORAGE": backend, "REPORTS_STORAGE_OPTIONS": options})
    setting_rules.storage(environment, "reports")
    assert message in environment.problems[0]


def test_a_storage_is_a_class_and_its_options():
    assert setting_rules.storage(Environment({}), "reports") == {}
    given = {"REPORTS_STORAGE": FILE_SYSTEM, "REPORTS_STORAGE_OPTIONS": '{"location": "/srv/reports"}'}
    assert setting_rules.storage(Environment(given), "reports") == {
        "reports": {"BACKEND": FILE_SYSTEM, "OPTIONS": {"location": "/srv/reports"}}
    }
