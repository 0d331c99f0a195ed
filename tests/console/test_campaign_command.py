"""`manage.py campaign`: each action for people and for programs, and what it refuses."""

import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from campaigns.models import Campaign
from console.command_line import create
from contacts.models import CsvUpload, ListEntry
from contacts.tasks import load_csv
from tests.factories import (
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactListFactory,
    DoNotCallFactory,
    FlowFactory,
)

pytestmark = pytest.mark.django_db

TEXT = ("--text", "There is no class tomorrow.")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("campaign", *arguments, stdout=out)
    return out.getvalue()


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def caller():
    return CallerIdFactory(account__sid="acme", account__region="IN")


def basics(caller) -> list[str]:
    return ["create", "--account", caller.account.sid, "--caller-id", caller.number]


# create --------------------------------------------------------------------------------------------------------------


def test_create_takes_numbers_in_any_spelling_and_a_text(caller):
    made = told(*basics(caller), *TEXT, "--number", "098100 12345", "+91 98100-12346", "--name", "No class")
    campaign = Campaign.objects.get()
    assert (made["id"], made["total"], made["left"], made["name"]) == (campaign.pk.hex, 2, 2, "No class")
    assert sorted(campaign.calls.values_list("number", flat=True)) == ["+919810012345", "+919810012346"]
    entry = AuditEntry.objects.get(verb="created")
    assert entry.actor_kind == "system"


def test_create_by_every_argument(caller):
    FlowFactory(account=caller.account, flow_id="29281")
    day = timezone.now() + timedelta(days=30)
    run(
        *(*basics(caller), "--flow", "29281", "--number", "09810012345", "--start", f"{day:%Y-%m-%d}T10:30"),
        *("--end", f"{day:%Y-%m-%d}T18:00+05:30", "--retries", "2", "--interval", "10", "--mechanism", "Exponential"),
        *("--pace", "30", "--custom-field", "batch 7", "--ring-timeout", "25", "--rules", "in-service"),
    )
    campaign = Campaign.objects.get()
    assert campaign.flow is not None
    assert campaign.send_at.astimezone(caller.account.zone).strftime("%H:%M") == "10:30"
    assert campaign.end_at is not None
    assert f"{campaign.end_at:%H:%M}" == "12:30"
    assert (campaign.number_of_retries, campaign.retry_interval_mins, campaign.retry_mechanism) == (
        2,
        10,
        "exponential",
    )
    assert (campaign.throttle, campaign.custom_field.value, campaign.ring_timeout) == (30, "batch 7", 25)
    assert campaign.rules == ["in-service"]


def test_create_makes_a_list_of_a_file_and_calls_it(caller, tmp_path, monkeypatch):
    file = tmp_path / "class 7b.csv"
    file.write_text("number,first_name\n098100 12345,Asha\nnobody,Ravi\n09810012346,Uma\n")
    monkeypatch.setattr("console.command_line.create.time.sleep", lambda _seconds: load_csv())
    out = run(*basics(caller), *TEXT, "--csv", str(file))
    assert "1 of 3 rows were rejected" in out
    assert ListEntry.objects.count() == 2
    filled = CsvUpload.objects.get().filled_list
    assert filled.name.startswith("class 7b ")
    assert Campaign.objects.get().list_ids == [filled.pk]


def test_a_file_that_nobody_loads_is_said(caller, tmp_path, monkeypatch):
    file = tmp_path / "numbers.csv"
    file.write_text("number\n09810012345\n")
    monkeypatch.setattr(create, "LOADER_PATIENCE", -1)
    with pytest.raises(CommandError, match="is the load worker running"):
        run(*basics(caller), *TEXT, "--csv", str(file))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--flow", "1", "--number", "12"], "--number"),
        (["--flow", "none", "--number", "09810012345"], "--flow"),
        ([*TEXT, "--number", "09810012345", "--start", "tomorrow"], "tomorrow is no moment"),
        ([*TEXT, "--number", "09810012345", "--pace", "0"], "--pace"),
        ([*TEXT, "--number", "09810012345", "--end", "2001-01-01T10:00"], "end"),
        ([*TEXT, "--number", "09810012345", "--retries", "-1"], "--retries"),
        ([*TEXT, "--list", "0" * 32], "there is no list"),
        ([*TEXT, "--csv", "/nowhere.csv"], "/nowhere.csv can't be read"),
    ],
)
def test_create_says_what_is_wrong_by_its_argument_and_stores_nothing(caller, more, sentence):
    with pytest.raises(CommandError, match=sentence):
        run(*basics(caller), *more)
    assert not Campaign.objects.exists()
    assert not CsvUpload.objects.exists()


def test_a_caller_id_of_nobody_is_refused_before_the_file_is_stored(caller, tmp_path):
    file = tmp_path / "numbers.csv"
    file.write_text("number\n09810012345\n")
    with pytest.raises(CommandError, match="--caller-id"):
        run("create", "--account", "acme", "--caller-id", "0800", *TEXT, "--csv", str(file))
    assert not CsvUpload.objects.exists()


def test_a_dry_run_creates_nothing(caller):
    assert told(*basics(caller), *TEXT, "--number", "09810012345", "--dry-run") == {"valid": True}
    assert not Campaign.objects.exists()


def test_an_account_that_is_not_there_is_said():
    with pytest.raises(CommandError, match="there is no account nobody"):
        run("create", "--account", "nobody", "--caller-id", "1", *TEXT, "--number", "1")


# list and watch ------------------------------------------------------------------------------------------------------


def test_list_shows_the_newest_first_with_its_people(caller):
    other = CampaignFactory(name="Other", running=True)
    CallFactory(campaign=other, completed=True)
    CallFactory(campaign=other, failed=True)
    CallFactory(campaign=other)
    CampaignFactory(name="Newest", account=caller.account)
    CampaignFactory(name="Deleted", deleted=True)
    assert [one["name"] for one in told("list")] == ["Newest", "Other"]
    assert [one["name"] for one in told("list", "--account", "acme")] == ["Newest"]
    (running,) = told("list", "--status", "in-progress")
    assert [running[name] for name in ("total", "reached", "not_reached", "left")] == [3, 1, 1, 1]
    assert "Other: 1 reached, 1 not, 1 left" in run("list")
    assert run("list", "--account", "acme", "--status", "paused") == "no campaigns\n"


def test_list_asks_as_many_questions_for_many_as_for_one(django_assert_max_num_queries):
    CampaignFactory.create_batch(20)
    with django_assert_max_num_queries(2):
        assert len(told("list")) == 20


def test_watch_tells_each_change_until_the_campaign_has_ended(monkeypatch):
    campaign = CampaignFactory(running=True, name="No class")
    call = CallFactory(campaign=campaign)
    ends = iter([None, "ended"])

    def later(_seconds: float) -> None:
        if next(ends):
            call.delete()
            Campaign.objects.filter(pk=campaign.pk).update(status="completed", ended_at=campaign.created_at)

    monkeypatch.setattr("console.command_line.watch.time.sleep", later)
    seen = [json.loads(line) for line in run("watch", campaign.pk.hex, "--json").splitlines()]
    assert [one["status"] for one in seen] == ["in-progress", "completed"]
    assert [one["left"] for one in seen] == [1, 0]
    assert "No class" in run("watch", campaign.pk.hex)


# Verbs ---------------------------------------------------------------------------------------------------------------


def test_verbs_act_on_each_campaign_and_say_which_did_not():
    first, second = CampaignFactory(running=True), CampaignFactory(running=True)
    assert len(told("pause", first.pk.hex, second.pk.hex)["campaigns"]) == 2
    assert set(Campaign.objects.values_list("status", flat=True)) == {"paused"}
    Campaign.objects.filter(pk=second.pk).update(status="in-progress")
    with pytest.raises(CommandError, match=second.pk.hex):
        run("resume", first.pk.hex, second.pk.hex)
    first.refresh_from_db()
    assert first.status == "in-progress"
    assert AuditEntry.objects.filter(verb="paused").count() == 2


@pytest.mark.parametrize("action", ["pause", "resume", "complete", "archive", "delete", "watch", "report", "again"])
def test_a_campaign_that_is_not_there_is_said(action):
    with pytest.raises(CommandError, match="there is no campaign feed"):
        run(action, "feed")


# report and again ----------------------------------------------------------------------------------------------------


def test_report_writes_the_csv_and_is_audited(tmp_path):
    call = CallFactory(completed=True)
    file = tmp_path / "report.csv"
    written = told("report", call.campaign.pk.hex, "--output", str(file))
    assert written == {"file": str(file), "bytes": file.stat().st_size}
    assert [row["number"] for row in csv.DictReader(file.read_text().splitlines())] == [call.number]
    assert AuditEntry.objects.filter(verb="downloaded").exists()


def test_report_to_the_standard_output(capfdbinary):
    call = CallFactory(completed=True)
    run("report", call.campaign.pk.hex)
    assert call.number.encode() in capfdbinary.readouterr().out


@pytest.mark.parametrize(
    ("more", "sentence"), [(["--json"], "needs --output"), (["--output", "/nowhere/x.csv"], "can't be written")]
)
def test_report_says_what_it_can_not_do(more, sentence):
    campaign = CallFactory(completed=True).campaign
    with pytest.raises(CommandError, match=sentence):
        run("report", campaign.pk.hex, *more)


def test_again_counts_first_and_then_calls_the_unanswered():
    parent = CampaignFactory(completed=True, name="No class")
    for number in ("+919810012345", "+919810012346"):
        attempt = CallAttemptFactory(no_answer=True, call__campaign=parent, call__number=number, call__failed=True)
        type(attempt.call).objects.filter(pk=attempt.call_id).update(last_outcome="no-answer", attempts_made=1)
    DoNotCallFactory(account=parent.account, number="+919810012346")
    assert told("again", parent.pk.hex, "--who", "no-answer", "--dry-run") == {
        "calls": 1,
        "skipped": {"do-not-call": 1},
    }
    assert Campaign.objects.count() == 1
    made = told("again", parent.pk.hex, "--who", "no-answer", "--name", "Again")
    child = Campaign.objects.get(pk=made["id"])
    assert (child.parent_id, child.name) == (parent.pk, "Again")
    assert list(child.calls.values_list("number", flat=True)) == ["+919810012345"]


def test_again_of_nobody_is_refused():
    parent = CampaignFactory(completed=True)
    with pytest.raises(CommandError, match="say whom to call again"):
        run("again", parent.pk.hex)
    with pytest.raises(CommandError):
        run("again", parent.pk.hex, "--who", "busy")


def test_a_list_may_be_called(caller):
    filled = ContactListFactory(account=caller.account)
    with pytest.raises(CommandError, match="list"):  # an empty one is refused, as by the API
        run(*basics(caller), *TEXT, "--list", filled.pk.hex)
