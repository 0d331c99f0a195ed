"""Recordings: in call details, in the report, and heard at their address."""

import csv
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from accounts.audit_entry import AuditEntry
from accounts.models import Account
from campaigns.models import Campaign
from dialer import recordings
from dialer.models import CallAttempt, Recording
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, RecordingFactory

pytestmark = pytest.mark.usefixtures("shared_account")

AT = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@pytest.fixture
def attempt(account, settings, tmp_path):
    settings.STORAGES = settings.STORAGES | {
        "recordings": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "recordings")},
        }
    }
    campaign = CampaignFactory(account=account, completed=True)
    return CallAttemptFactory(call=CallFactory(campaign=campaign, completed=True), completed=True)


@pytest.fixture
def recording(attempt):
    return recordings.save(CallAttempt.objects.get(pk=attempt.pk), "1.1", io.BytesIO(b"RIFF sound"), 3, AT)


def hear(api, url):
    parts = urlsplit(url)
    return api.http.get(f"{parts.path}?{parts.query}")


def details(api, attempt):
    return api.get(f"/campaigns/{attempt.campaign_id.hex}/call-details").records


def test_it_is_heard_at_its_address_without_credentials(api, recording):
    assert recording.url.startswith(f"{settings.PUBLIC_URL}/recordings/{recording.pk.hex}.wav?token=")
    response = hear(api, recording.url)
    assert (response.status_code, response["Content-Type"]) == (200, "audio/wav")
    assert response["Cache-Control"] == "private, no-store"
    assert b"".join(response.streaming_content) == b"RIFF sound"
    entry = AuditEntry.objects.latest("id")
    assert (entry.verb, entry.object_id) == ("downloaded", str(recording.attempt.campaign_id))


@pytest.mark.parametrize(("change", "status"), [("token=x", 403), ("", 403)])
def test_without_its_token_it_is_not_heard(api, recording, change, status):
    assert hear(api, recording.url.partition("?")[0] + f"?{change}").status_code == status


def test_a_storage_that_is_away_is_said(api, recording, monkeypatch):
    class Away:
        def open(self, name):
            raise ConnectionError("no bucket")

    monkeypatch.setattr(recordings, "storage", Away)
    assert hear(api, recording.url).status_code == 503


def test_what_is_deleted_is_not_heard(api, recording):
    recordings.storage().delete(recording.file)
    assert hear(api, recording.url).status_code == 404
    recording.delete()
    assert hear(api, recording.url).status_code == 404


@pytest.mark.parametrize("hidden", ["campaign", "account"])
def test_what_is_hidden_is_not_heard(api, recording, hidden):
    campaign = recording.attempt.campaign
    if hidden == "campaign":
        Campaign.objects.filter(pk=campaign.pk).update(is_purging=True)
    else:
        Account.objects.filter(pk=campaign.account_id).update(is_active=False)
    assert hear(api, recording.url).status_code == 404


def test_what_a_carrier_keeps_is_not_here(api, attempt):
    kept = RecordingFactory(attempt=attempt)
    assert hear(api, recordings.url_of(kept.pk)).status_code == 404


def test_call_details_show_what_the_flow_has_recorded(api, attempt):
    assert "recordings" not in details(api, attempt)[0]
    for at in (2, 1):
        RecordingFactory(
            attempt=attempt, place=f"{at}.1", url=f"https://a.example/{at}", recorded_at=AT + timedelta(seconds=at)
        )
    [shown] = details(api, attempt)
    assert [(one["url"], one["duration"]) for one in shown["recordings"]] == [
        ("https://a.example/1", 7),
        ("https://a.example/2", 7),
    ]
    assert shown["recordings"][0]["date_created"] == "2026-03-02T11:30:01+05:30"
    assert shown["recording_url"] == "https://a.example/2"
    assert "is_cut" not in shown["recordings"][0]
    Recording.objects.filter(place="1.1").update(is_cut=True)
    assert [one.get("is_cut") for one in details(api, attempt)[0]["recordings"]] == [True, None]


def test_the_carriers_recording_of_the_whole_call_comes_first(api, attempt):
    RecordingFactory(attempt=attempt, url="https://a.example/1")
    CallAttempt.objects.update(recording_url="https://carrier.example/r.mp3")
    assert details(api, attempt)[0]["recording_url"] == "https://carrier.example/r.mp3"
    url = api.get(f"/campaigns/{attempt.campaign_id.hex}").data["report_url"]
    report = b"".join(hear(api, url).streaming_content).decode()
    [line] = csv.DictReader(io.StringIO(report))
    assert line["recording_url"] == "https://carrier.example/r.mp3 https://a.example/1"
    assert Recording.objects.count() == 1
