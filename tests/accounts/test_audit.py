"""Who did it: what an entry holds, that nothing changes it, and who may read it."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import audit, audit_admin
from accounts.audit import Actor, Kind, Subject, Verb
from accounts.audit_entry import AuditEntry
from accounts.models import Account, Membership
from campaigns import lifecycle, schedule
from campaigns.models import Campaign, CampaignHistory
from contacts.models import Contact
from core import request_context
from tests.factories import (
    ACTOR,
    AccountFactory,
    ApiKeyFactory,
    AuditEntryFactory,
    AuthenticatorAppFactory,
    CallFactory,
    CampaignFactory,
    TrunkFactory,
)
from tools.local.project import PROJECT

pytestmark = pytest.mark.django_db

PAGE = "admin:accounts_auditentry_changelist"
CSV = "admin:accounts_auditentry_csv"


def texts() -> list[str]:
    return [f"{entry}, {entry.what}".removesuffix(", ") for entry in AuditEntry.objects.order_by("pk")]


# The entry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        (Actor(Kind.USER, "7", "meera"), "meera"),
        (Actor(Kind.API_KEY, "3", "laptop"), "API key laptop"),
        (Actor(Kind.SYSTEM, "0", "root (meera)"), "system root (meera)"),
        (audit.SYSTEM, "system"),
        (audit.UNKNOWN, "somebody"),
    ],
)
def test_histories_name_the_actor(actor, name):
    assert str(actor) == name


def test_a_key_without_a_name_is_named_by_its_beginning_and_never_by_all_of_it():
    key = ApiKeyFactory(name="", key="0123456789abcdef")
    assert str(audit.of_key(key)) == "API key 01234567…"


def test_an_entry_is_in_the_transaction_of_the_change():
    campaign = CampaignFactory(running=True)
    with transaction.atomic():
        lifecycle.pause(campaign, actor=ACTOR)
        assert len(texts()) == 1
        transaction.set_rollback(True)
    assert Campaign.objects.get().status == "in-progress"
    assert texts() == []


def test_a_change_whose_entry_can_not_be_stored_is_not_made(monkeypatch):
    campaign = CampaignFactory(running=True)
    monkeypatch.setattr(audit, "_entry", lambda *_: AuditEntry(actor_kind="nobody", at=timezone.now()))
    with pytest.raises(IntegrityError), transaction.atomic():
        lifecycle.pause(campaign, actor=ACTOR)
    assert Campaign.objects.get().status == "in-progress"


@pytest.mark.parametrize("days", [0, 364])
def test_the_database_keeps_an_entry_as_it_is_for_a_year(days):
    AuditEntryFactory(at=timezone.now() - timedelta(days=days))
    for change in (
        lambda: AuditEntry.objects.update(actor_name="somebody else"),
        lambda: AuditEntry.objects.get().save(),
        lambda: AuditEntry.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            change()
    assert AuditEntry.objects.get().actor_name == "meera"


def test_an_entry_of_more_than_a_year_may_be_deleted_and_still_not_changed():
    AuditEntryFactory(at=timezone.now() - timedelta(days=367))
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry.objects.update(actor_name="somebody else")
    AuditEntry.objects.all().delete()
    assert texts() == []


def test_an_entry_outlives_its_account_and_does_not_keep_it():
    entry = AuditEntryFactory()
    sid = entry.account.sid
    entry.account.delete()
    kept = AuditEntry.objects.select_related("account").get()
    assert (kept.account, kept.account_sid) == (None, sid)


def test_an_entry_has_where_the_request_came_from_and_the_id_of_its_log_lines(admin_client):
    campaign = CampaignFactory(running=True)
    admin_client.post(reverse("admin:campaigns_campaign_act", args=[campaign.pk, "pause"]), REMOTE_ADDR="192.0.2.7")
    entry = AuditEntry.objects.get()
    assert entry.ip == "192.0.2.7"
    assert len(entry.request_id) == 32
    assert (request_context.request_id(), request_context.client_ip()) == ("", "")


def test_what_has_no_row_is_named_in_words():
    account = AccountFactory(sid="acme")
    audit.record(ACTOR, Verb.CREATED, Subject(Contact, "5,000 contacts", account))
    assert texts() == ["meera created 5,000 contacts"]
    entry = AuditEntry.objects.get()
    assert (entry.kind_of_object, entry.account, entry.object_id) == ("contact", account, "")


def test_a_kind_that_is_no_longer_there_is_shown_as_it_was_stored():
    assert AuditEntryFactory(object_kind="gone.model").kind_of_object == "gone.model"
    assert AuditEntryFactory(object_kind="").kind_of_object == ""


# Campaigns -----------------------------------------------------------------------------------------------------------


def test_every_verb_of_a_campaign_says_who_used_it():
    key = audit.of_key(ApiKeyFactory(name="laptop"))
    ways = [("pause", {"running": True}), ("resume", {"paused": True}), ("complete", {"paused": True})]
    ways += [("archive", {"completed": True}), ("delete", {})]
    assert {name for name, _ in ways} == set(lifecycle.VERBS)
    for name, state in ways:
        verb = lifecycle.VERBS[name]
        campaign = verb(CampaignFactory(name="Renewals", **state), actor=key)
        assert campaign.history.get().reason == f"{verb.past} by API key laptop"
        assert texts()[-1:] == [f"API key laptop {verb.past} Renewals"]


def test_a_refused_verb_leaves_no_entry():
    outcome = lifecycle.pause.apply(CampaignFactory.create_batch(2, completed=True), actor=ACTOR)
    assert (outcome.done, len(outcome.refusals)) == ([], 2)
    assert texts() == []


@pytest.mark.parametrize(
    ("name", "state"),
    [
        *(("pause", {"running": True}), ("resume", {"paused": True}), ("resume", {"paused_before_start": True})),
        *(("complete", {"paused": True}), ("archive", {"completed": True}), ("delete", {})),
    ],
)
def test_a_verb_over_many_campaigns_takes_as_many_statements_as_over_two(name, state):
    def statements(count: int) -> int:
        campaigns = CampaignFactory.create_batch(count, status_callback="https://client.example/told", **state)
        for campaign in campaigns:
            CallFactory(campaign=campaign)
        with CaptureQueriesContext(connection) as queries:
            outcome = lifecycle.VERBS[name].apply(campaigns, actor=ACTOR)
        assert len(outcome.done) == count
        return len(queries)

    assert statements(2) == statements(9)
    reasons = set(CampaignHistory.objects.values_list("reason", flat=True))
    assert len(reasons) == 1
    assert AuditEntry.objects.count() == CampaignHistory.objects.count() == 11


def test_the_calls_of_many_campaigns_that_are_completed_end_too(rig):
    campaigns = [rig.campaign(2), rig.campaign(3)]
    for campaign in campaigns:
        lifecycle.pause(campaign, actor=ACTOR)
    outcome = lifecycle.complete.apply(campaigns, actor=ACTOR)
    assert len(outcome.done) == 2
    rig.tick()
    assert not Campaign.objects.filter(is_ending=True).exists()
    assert {campaign.status for campaign in Campaign.objects.all()} == {"completed"}
    assert not [call for campaign in campaigns for call in campaign.calls.all() if call.ended_at is None]


def test_some_resume_and_some_wait_for_their_start(rig):
    started = lifecycle.pause(_started(rig), actor=ACTOR)
    waits = lifecycle.pause(rig.campaign(send_at=timezone.now() + timedelta(hours=1)), actor=ACTOR)
    due = lifecycle.pause(rig.campaign(), actor=ACTOR)
    before = started.started_at
    lifecycle.resume.apply([started, waits, due], actor=ACTOR)
    for campaign in (started, waits, due):
        campaign.refresh_from_db()
    assert [started.status, waits.status, due.status] == ["in-progress", "created", "in-progress"]
    assert (started.started_at, waits.started_at, due.started_at) == (before, None, timezone.now())


def _started(rig):
    campaign = rig.campaign()
    schedule.start_due(timezone.now())
    rig.clock.shift(timedelta(minutes=1))
    campaign.refresh_from_db()
    return campaign


def test_a_change_names_the_columns_that_differ_and_no_address():
    campaign = CampaignFactory(name="before")
    lifecycle.change(
        campaign, actor=ACTOR, now=timezone.now(), name="after", custom_field="x", send_at=campaign.send_at
    )
    lifecycle.change_callbacks(campaign, actor=ACTOR, status_callback="https://client.example/?key=secret")
    assert texts() == ["meera changed after, name, custom_field", "meera changed after, status_callback"]


# The command line ----------------------------------------------------------------------------------------------------


def test_commands_name_the_user_of_the_operating_system(monkeypatch, capsys):
    monkeypatch.setenv("SUDO_USER", "meera")
    call_command("create_account", "acme", "--caller-id", "08012345678")
    assert [text.split(" created ")[1] for text in texts()] == ["acme", "sandbox", "+918012345678", "first key"]
    assert {entry.actor_kind for entry in AuditEntry.objects.all()} == {"system"}
    assert all(text.startswith("system ") and "(meera) created" in text for text in texts())


AUDITED_COMMANDS = {
    *("create_account", "create_key", "create_trunk", "create_flow", "rotate_key", "revoke_key"),
    "reset_second_factor",
    "do_not_call",
    *("hold", "release"),
    "waive_rules",
    "purge",
}
# Commands that change nothing that a person owns, or whose entries are those of `lifecycle`, and why.
OTHER_COMMANDS = {
    "list_keys": "reads",
    "campaign": "rehearses, and changes nothing",
    "check_trunk": "reads",
    "passthru_address": "reads",
    "ready": "reads",
    "recount_hours": "counts again what the program has counted",
    "reconcile": "has its entry once something is recorded or nothing is left: tests/dialer/test_reconcile.py",
    "serve_events": "is a process of the server",
    "sipgateway": "is a process of the server",
    **dict.fromkeys(("stop_calling", "resume_calling"), "pauses and resumes by lifecycle, which records each campaign"),
    **dict.fromkeys(("prepare", "sync_periodic_tasks"), "runs at every start, and adds the ticks of the program"),
    "migrate": "runs at every start, and is Django's",
    "reencrypt_secrets": "stores the same secrets, under another key",
}


def test_every_command_of_ours_is_audited_or_has_a_reason_not_to_be():
    installed = {app.name for app in apps.get_app_configs() if (PROJECT / app.name).is_dir()}
    assert {name for name, app in get_commands().items() if app in installed} == AUDITED_COMMANDS | set(OTHER_COMMANDS)


def test_every_command_that_changes_something_leaves_an_entry(tmp_path, monkeypatch):
    flow = tmp_path / "flow.json"
    flow.write_text('{"steps": [{"say": "There is no class tomorrow."}]}')
    registry = tmp_path / "registry.csv"
    registry.write_text("+919810012345\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("a token\n"))
    AccountFactory(sid="acme")
    campaign = CampaignFactory(account__rules=["us"])
    for number in range(2):
        ApiKeyFactory(key=f"key-{number}")
    CampaignFactory(completed=True, ended_at=timezone.now() - timedelta(days=9))
    AuthenticatorAppFactory(user=get_user_model().objects.create_user("ravi"))
    given = {
        "create_account": ["umbrella"],
        "create_key": ["acme"],
        "create_trunk": ["main", "--carrier", "sandbox"],
        "create_flow": ["acme", "1", "--file", str(flow)],
        "rotate_key": ["key-0"],
        "revoke_key": ["key-1"],
        "reset_second_factor": ["ravi"],
        "hold": ["--why", "a move"],
        "release": [],
        "purge": ["--before", f"{timezone.now() - timedelta(days=5):%Y-%m-%d}"],
        "waive_rules": [campaign.pk.hex, "us", "--because", "counsel"],
        "do_not_call": ["import", str(registry), "--kind", "ncpr", "--date", "2026-03-01"],
    }
    assert set(given) == AUDITED_COMMANDS
    for name, arguments in given.items():
        before = AuditEntry.objects.count()
        call_command(name, *arguments, stdout=io.StringIO())
        assert AuditEntry.objects.count() > before, name
        assert AuditEntry.objects.latest("pk").actor_kind == "system"


# The page ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def member(django_user_model):
    def make(account: Account | None, role: str) -> Client:
        user = django_user_model.objects.create_user(f"{role}-{account}", is_staff=True)
        Membership.objects.create(user=user, account=account, role=role)
        client = Client()
        client.force_login(user)
        return client

    return make


def rows_of(response) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_the_page_shows_the_rows_of_the_person_s_accounts(member, admin_client):
    mine, theirs = AuditEntryFactory(object_name="mine"), AuditEntryFactory(object_name="theirs")
    audit.record(ACTOR, Verb.CHANGED, TrunkFactory(name="the-way-out"))
    for client, seen in (
        (member(mine.account, "viewer"), {"mine"}),
        (member(None, "viewer"), {"mine", "theirs"}),
        (member(None, "administrator"), {"mine", "theirs", "the-way-out"}),
        (admin_client, {"mine", "theirs", "the-way-out"}),
    ):
        page = client.get(reverse(PAGE)).content.decode()
        assert {name for name in ("mine", "theirs", "the-way-out") if f">{name}<" in page} == seen
        assert {row["object"] for row in rows_of(client.get(reverse(CSV)))} == seen
    assert theirs.account != mine.account


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "ren"}, {"Renewals"}),
        ({"q": "newals"}, set()),
        ({"q": "mee"}, {"Renewals"}),
        ({"q": "192.0.2"}, {"Renewals"}),
        ({"q": "0123456789abcdef0123456789abcdef"}, {"Reminders"}),
        ({"q": "01234567-89ab-cdef-0123-456789abcdef"}, {"Reminders"}),
        ({"verb": "deleted"}, {"Reminders"}),
        ({"object_kind": "contacts.contactlist"}, {"Reminders"}),
        ({"actor_kind__exact": "api-key"}, {"Reminders"}),
        ({"at__gte": "2026-03-02 00:00:00+00:00", "at__lt": "2026-03-03 00:00:00+00:00"}, {"Reminders"}),
    ],
)
def test_search_and_filters_narrow_the_list_and_the_download_alike(admin_client, query, found):
    AuditEntryFactory(object_name="Renewals", ip="192.0.2.9")
    AuditEntryFactory(
        object_name="Reminders",
        actor_name="asha",
        actor_kind="api-key",
        verb="deleted",
        object_kind="contacts.contactlist",
        object_id="01234567-89ab-cdef-0123-456789abcdef",
        ip="198.51.100.1",
        at=datetime(2026, 3, 2, 6, tzinfo=UTC),
    )
    page = admin_client.get(reverse(PAGE), query).content.decode()
    assert {name for name in ("Renewals", "Reminders") if f">{name}<" in page} == found
    assert {row["object"] for row in rows_of(admin_client.get(reverse(CSV), query))} == found


def test_the_download_runs_nothing_in_a_spreadsheet(admin_client):
    AuditEntryFactory(object_name='=HYPERLINK("http://mallory.example")', actor_name="+cmd|calc", what="-1+1")
    [row] = rows_of(admin_client.get(reverse(CSV)))
    assert row["object"] == '\'=HYPERLINK("http://mallory.example")'
    assert (row["actor"], row["what"]) == ("'+cmd|calc", "'-1+1")


def test_the_download_has_every_entry_in_as_many_queries_as_it_has_batches(admin_client, monkeypatch):
    monkeypatch.setattr(audit_admin, "CSV_BATCH", 4)
    AuditEntryFactory.create_batch(9)
    names = [entry.object_name for entry in AuditEntry.objects.order_by("-pk")]
    response = admin_client.get(reverse(CSV))
    with CaptureQueriesContext(connection) as queries:
        assert [row["object"] for row in rows_of(response)] == names
    assert len(queries) == 4


def test_a_filter_that_makes_no_sense_leads_back_to_the_page(admin_client):
    assert admin_client.get(reverse(CSV), {"nonsense__x": "1"}).status_code == 302


@pytest.mark.parametrize("page", ["add", "delete"])
def test_nobody_adds_or_deletes_an_entry(admin_client, page):
    entry = AuditEntryFactory()
    address = reverse(f"admin:accounts_auditentry_{page}", args=[] if page == "add" else [entry.pk])
    assert admin_client.post(address, {"post": "yes"}).status_code == 403
    assert AuditEntry.objects.get() == entry
