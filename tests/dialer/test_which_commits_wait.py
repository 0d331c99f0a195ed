"""The intent to ring a phone waits for the disk. Claims and outcomes, which are found again, do not (decision 0069)."""

import pytest
from django.db import connection
from django.utils import timezone

from campaigns import schedule
from dialer import inbox
from dialer.models import CallAttempt


@pytest.fixture
def commits(rig, monkeypatch):
    """The settings under which transactions are committed, of which the test clears those that it does not mean."""
    # The servers of tests have it off for everybody.
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
    made = []
    commit = connection._commit  # type: ignore[attr-defined]

    def note():
        made.append(connection.connection.execute("SHOW synchronous_commit").fetchone()[0])
        commit()

    monkeypatch.setattr(connection, "_commit", note)
    yield made
    connection.close()


def test_a_claim_waits_for_no_disk_and_the_intent_does(rig, commits):
    rig.campaign(2)
    schedule.start_due(timezone.now())
    commits.clear()
    assert rig.dispatch() == 2
    assert commits[-1] == "off", "after what is asked of a restore"
    commits.clear()
    rig.dial()
    assert commits
    assert set(commits) == {"on"}


def test_settling_waits_for_no_disk(rig, commits):
    rig.carrier.script = {rig.campaign(1).calls.get().number: ["silent"]}
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.dial()
    attempt = CallAttempt.objects.get()
    inbox.store([inbox.Incoming("simulated", attempt.pk, {"status": "completed"})])
    commits.clear()
    assert inbox.settle_batch(timezone.now()) == 1
    assert commits[0] == "off"
    attempt.refresh_from_db()
    assert attempt.status == "completed"


def test_an_inbox_that_is_empty_changes_no_setting(rig, commits):
    assert inbox.settle_batch(timezone.now()) == 0
    assert set(commits) <= {"on"}
