"""Recordings on their way into the storage: whatever dies or is away meanwhile, each is kept, and once."""

import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path
from uuid import UUID

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from campaigns.models import Campaign
from dialer import recordings
from dialer.models import CallAttempt, Recording
from sipgateway import recording_store, sounds
from sipgateway.recording_files import About, RecordingFile
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory
from tests.sipgateway.test_recorders import LOUD
from tools.local.project import PROJECT

pytestmark = pytest.mark.django_db

# Writes three seconds of a call, says so, and goes on for ever.
WRITER = """
import sys, time
from pathlib import Path
from uuid import UUID
from sipgateway.recording_files import About, RecordingFile
file = RecordingFile(Path(sys.argv[1]), About(UUID(sys.argv[2]), UUID(sys.argv[3]), "0.1", 2))
for _ in range(150):
    file.write(bytes(320))
print("written", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path, settings):
    """The folder of recordings under way."""
    settings.DATA_DIR = str(tmp_path)
    settings.STORAGES = settings.STORAGES | {
        "recordings": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "recordings")},
        }
    }
    return recording_store.folder()


@pytest.fixture
def attempt():
    campaign = CampaignFactory(completed=True)
    return CallAttemptFactory(call=CallFactory(campaign=campaign, completed=True), completed=True)


def made(folder, attempt, *, channels=2, sound=LOUD * 2, is_whole=True, key=None):
    """A recording of a second that nobody writes any more. Returns its path."""
    file = RecordingFile(folder, About(key or uuid7(), attempt.pk, "0.1", channels))
    for _ in range(50):
        file.write(sound[: 160 * channels])
    if is_whole:
        return file.finish()
    file._file.close()
    return file._path


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def sweep():
    recording_store.sweep(lambda: False)


def stored():
    return list(Recording.objects.values_list("attempt", "place", "seconds", "is_cut"))


def test_what_a_gateway_recorded_that_is_killed_is_kept_and_marked(folder, attempt, tmp_path):
    key = uuid7()
    command = [sys.executable, "-c", WRITER, str(folder), key.hex, attempt.pk.hex]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout
            assert writer.stdout.readline() == "written\n"
            sweep()
            assert (stored(), len(files(folder))) == ([], 1)  # its writer lives
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
    sweep()
    # All but what the process had not given to the system yet: half a second.
    assert stored() == [(attempt.pk, "0.1", 3, True)]
    assert files(folder) == []
    with wave.open(str(tmp_path / "recordings" / Recording.objects.get().file)) as reader:
        assert (reader.getnchannels(), reader.getframerate()) == (2, sounds.RATE)
        assert 2.4 * sounds.RATE < reader.getnframes() <= 3 * sounds.RATE


def test_a_recording_that_came_to_its_end_is_not_marked(folder, attempt):
    assert recording_store.store(made(folder, attempt))
    assert stored() == [(attempt.pk, "0.1", 1, False)]
    assert files(folder) == []


class Away:
    """A storage that takes nothing."""

    asked = 0

    def exists(self, name):
        Away.asked += 1
        raise ConnectionError("no bucket")


@pytest.mark.django_db(transaction=True)
def test_a_recording_that_the_storage_does_not_take_stays_until_it_does(folder, attempt, monkeypatch):
    path = made(folder, attempt)
    with monkeypatch.context() as patch:
        patch.setattr(recordings, "storage", Away)
        assert not recording_store.store(path)
        sweep()
    assert (stored(), files(folder)) == ([], [path])
    sweep()
    assert (stored(), files(folder)) == ([(attempt.pk, "0.1", 1, False)], [])


@pytest.mark.django_db(transaction=True)
def test_a_storage_that_is_away_is_not_asked_for_each_of_many(folder, monkeypatch):
    for _ in range(recording_store.MOST_FAILURES + 2):
        made(folder, CallAttemptFactory(completed=True))
    monkeypatch.setattr(recordings, "storage", Away)
    monkeypatch.setattr(Away, "asked", 0)
    sweep()
    assert Away.asked == recording_store.MOST_FAILURES
    recording_store.sweep(lambda: True)  # the gateway stops
    assert Away.asked == recording_store.MOST_FAILURES


@pytest.mark.parametrize("died", ["before the row", "after the row"])
def test_a_process_that_dies_while_it_stores_leaves_one_recording(folder, attempt, tmp_path, monkeypatch, died):
    key = uuid7()

    class Died(BaseException):
        pass

    def die(*_, **__):
        raise Died

    with monkeypatch.context() as patch:
        if died == "before the row":
            patch.setattr(Recording.objects, "create", die)
        else:
            patch.setattr(Path, "unlink", die)
        with pytest.raises(Died):
            recording_store.store(made(folder, attempt, key=key))
    assert len(files(folder)) == 1
    sweep()
    assert (stored(), files(folder)) == ([(attempt.pk, "0.1", 1, False)], [])
    assert [path.stem for path in files(tmp_path / "recordings")] == [key.hex]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("is_whole", [True, False])
def test_where_nobody_spoke_a_call_is_kept_and_a_step_is_not(folder, attempt, channels, is_whole):
    made(folder, attempt, channels=channels, sound=sounds.SILENCE * 320, is_whole=is_whole)
    sweep()
    assert (len(stored()), files(folder)) == (channels - 1, [])


@pytest.mark.parametrize("why", ["its campaign is gone", "its campaign is being deleted", "it is old"])
def test_what_nobody_may_hear_any_more_is_deleted_and_not_stored(folder, attempt, settings, why):
    settings.RECORDINGS_KEPT_DAYS = 5
    path = made(folder, attempt)
    if why == "its campaign is gone":
        CallAttempt.objects.all().delete()
    elif why == "its campaign is being deleted":
        Campaign.objects.update(is_purging=True)
    else:
        old = time.time() - 5 * 86_400 - 60
        os.utime(path, (old, old))
    sweep()
    assert (stored(), files(folder)) == ([], [])


def test_a_recording_counts_from_its_own_end_not_from_when_it_was_stored(folder, attempt):
    path = made(folder, attempt)
    before = time.time() - 7200
    os.utime(path, (before, before))
    sweep()
    age = timezone.now() - Recording.objects.get().recorded_at
    assert 7100 < age.total_seconds() < 7300


@pytest.mark.parametrize("content", [b"", b"no JSON\n", b'{"key": 1}\n', None])
def test_a_file_that_is_no_recording_holds_up_no_other(folder, attempt, content):
    made(folder, attempt)
    key = UUID(int=0)  # looked at first
    if content is None:
        RecordingFile(folder, About(key, attempt.pk, "1.1", 2)).finish()  # without any sound
    else:
        (folder / f"{key.hex}.part").write_bytes(content)
    sweep()
    assert (len(stored()), files(folder)) == (1, [])


def test_a_file_that_is_just_being_made_is_left_alone(folder):
    folder.mkdir()
    new = folder / f"{uuid7().hex}.new"
    new.touch()
    sweep()
    assert files(folder) == [new]
    old = time.time() - 120
    os.utime(new, (old, old))
    sweep()
    assert files(folder) == []


def test_voices_are_for_the_user_of_the_gateway_alone(folder, attempt):
    path = made(folder, attempt)
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
