"""Recordings go after their time, and with their campaign: the files first."""

import io
from datetime import timedelta

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from dialer import recordings
from dialer.models import CallAttempt, Recording
from retention import campaigns_due, old_recordings, purge, tasks
from tests.retention.conftest import days


@pytest.fixture
def folder(tmp_path, settings):
    settings.STORAGES = settings.STORAGES | {
        "recordings": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "recordings")},
        }
    }
    return tmp_path / "recordings"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def made(place="1.1"):
    attempt = CallAttempt.objects.select_related("account").order_by("pk").last()
    assert attempt
    return recordings.save(attempt, place, io.BytesIO(b"RIFF"), 3, timezone.now())


@pytest.fixture
def campaign(rig, folder, over):
    kept = over(1)
    Recording.objects.all().delete()
    return kept


def test_it_is_kept_for_so_many_days_and_then_deleted_with_its_file(rig, campaign, folder, settings):
    settings.CAMPAIGNS_KEPT_DAYS, settings.RECORDINGS_KEPT_DAYS = None, 5
    made("1.1")
    rig.clock.shift(days(5))
    made("1.2")
    tasks.purge_campaigns()
    assert len(files(folder)) == 2
    rig.clock.shift(timedelta(seconds=1))
    tasks.purge_campaigns()
    assert [recording.place for recording in Recording.objects.all()] == ["1.2"]
    assert len(files(folder)) == 1


def test_more_than_one_slice_goes(rig, campaign, folder, settings, monkeypatch):
    monkeypatch.setattr(recordings, "SLICE", 2)
    settings.RECORDINGS_KEPT_DAYS = 1
    for at in range(5):
        made(f"1.{at + 1}")
    rig.clock.shift(days(2))
    assert list(old_recordings.slices(timezone.now())) == [2, 2, 1]
    assert files(folder) == []


class Broken:
    """A storage that deletes nothing."""

    def delete(self, name):
        raise ConnectionError("no bucket")


def purged():
    return list(purge.slices(campaigns_due.end_before(timezone.now())))


def test_it_is_deleted_with_its_campaign_and_holds_it_while_the_storage_is_away(
    rig, campaign, folder, settings, monkeypatch
):
    settings.CAMPAIGNS_KEPT_DAYS, settings.RECORDINGS_KEPT_DAYS = 10, 100
    made()
    rig.clock.shift(days(11))
    with monkeypatch.context() as patch:
        patch.setattr(recordings, "storage", Broken)
        [failed] = purged()
        assert failed.failure == "a recording could not be deleted: ConnectionError: no bucket"
        settings.RECORDINGS_KEPT_DAYS = 1
        assert list(old_recordings.slices(timezone.now())) == []
    assert (Recording.objects.count(), len(files(folder))) == (1, 1)
    purged()
    assert campaign.is_gone
    assert files(folder) == []


def test_a_file_that_is_gone_already_holds_up_nothing(rig, campaign, folder, settings):
    settings.RECORDINGS_KEPT_DAYS = 1
    storages["recordings"].delete(made().file)
    rig.clock.shift(days(2))
    assert list(old_recordings.slices(timezone.now())) == [1]
