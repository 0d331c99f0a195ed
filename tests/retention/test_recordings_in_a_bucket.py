"""Recordings in a bucket, by settings alone: django-storages' own class, against a server that speaks S3."""

import io
import json
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from core import setting_rules
from core.environment import Environment
from dialer import recordings
from dialer.models import CallAttempt, Recording
from retention import tasks
from sipgateway import recording_store
from tests import s3
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory
from tests.retention.conftest import days
from tests.sipgateway.test_recording_store import made


@pytest.fixture
def bucket(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # it waits longer before each further one
    with s3.Bucket() as made_bucket:
        options = {
            "bucket_name": made_bucket.name,
            "endpoint_url": made_bucket.url,
            "region_name": "ap-south-1",
            "access_key": s3.ACCESS_KEY,
            "secret_key": "a-secret-key",
        }
        given = {
            "RECORDINGS_STORAGE": "storages.backends.s3.S3Storage",
            "RECORDINGS_STORAGE_OPTIONS": json.dumps(options),
        }
        settings.STORAGES = settings.STORAGES | setting_rules.storage(Environment(given), "recordings")
        settings.DATA_DIR = str(tmp_path)
        yield made_bucket


@pytest.fixture
def attempt(db):
    campaign = CampaignFactory(completed=True)
    made = CallAttemptFactory(call=CallFactory(campaign=campaign, completed=True), completed=True)
    return CallAttempt.objects.select_related("account").get(pk=made.pk)


def hear(client, recording):
    parts = urlsplit(recording.url)
    return client.get(f"{parts.path}?{parts.query}")


def test_a_recording_is_stored_there_heard_from_there_and_deleted_after_its_time(
    rig, bucket, attempt, client, settings
):
    settings.RECORDINGS_KEPT_DAYS, settings.CAMPAIGNS_KEPT_DAYS = 5, None
    path = made(recording_store.folder(), attempt)
    assert recording_store.store(path)
    recording = Recording.objects.get()
    [(key, sound)] = bucket.objects.items()
    assert (key, sound[:4], path.exists()) == (recording.file, b"RIFF", False)
    assert b"".join(hear(client, recording).streaming_content) == sound
    Recording.objects.update(recorded_at=timezone.now() - days(5))
    tasks.purge_campaigns()
    assert key in bucket.objects
    Recording.objects.update(recorded_at=timezone.now() - days(5.001))
    tasks.purge_campaigns()
    assert (bucket.objects, Recording.objects.count()) == ({}, 0)
    assert hear(client, recording).status_code == 404


def test_an_hour_of_a_call_goes_up_in_parts(bucket, attempt):
    sound = bytes(range(256)) * 40_000  # more than the eight megabytes from which on it is parts
    stored = recordings.save(attempt, "1.1", io.BytesIO(sound), 640, timezone.now())
    assert bucket.objects == {stored.file: sound}
    assert [method for method, _ in bucket.requests if method == "POST"] == ["POST", "POST"]


@pytest.mark.django_db(transaction=True)  # the connection is closed where a storage fails
def test_a_bucket_that_is_away_loses_nothing(bucket, attempt, client, settings):
    settings.RECORDINGS_KEPT_DAYS = 1
    path = made(recording_store.folder(), attempt)
    bucket.is_away = True
    assert not recording_store.store(path)
    assert path.exists()
    bucket.is_away = False
    recording_store.sweep(lambda: False)
    recording = Recording.objects.get()
    bucket.is_away = True
    assert hear(client, recording).status_code == 503
    Recording.objects.update(recorded_at=timezone.now() - days(2))
    tasks.purge_campaigns()
    bucket.is_away = False
    assert (list(bucket.objects), Recording.objects.count()) == ([recording.file], 1)


def test_a_file_that_is_gone_there_is_not_heard_and_holds_up_nothing(bucket, attempt, client):
    recording = recordings.save(attempt, "1.1", io.BytesIO(b"RIFF"), 3, timezone.now())
    bucket.objects.clear()
    assert hear(client, recording).status_code == 404
    assert list(recordings.delete(Recording.objects.all())) == [1]
