"""A walk over every page of the admin: what changes a row leaves an audit entry, in the words of the page.

A page, an action or a button that this walk does not know fails it.
"""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from accounts.admin_kit import ForeignPage
from accounts.audit_entry import AuditEntry
from accounts.audited_pages import AuditedPage
from accounts.models import Account, ApiKey, CallerId, Membership, Trunk
from campaigns.models import Campaign, Flow
from tests.accounts.test_memberships import PAGES, _address
from tests.database_writes import AUDIT, written_tables
from tests.dialer.test_admin import FACTORIES
from tests.factories import (
    AccountFactory,
    ApiKeyFactory,
    AuthenticatorAppFactory,
    CallFactory,
    CampaignFactory,
    DoNotCallFactory,
    TrunkFactory,
    WebhookDeliveryFactory,
)
from webhooks.models import WebhookDelivery

pytestmark = pytest.mark.django_db

User = get_user_model()
FLOW = '{"steps": [{"say": "There is no class tomorrow."}]}'

# What is typed into the page of a row, and what its entry tells of it.
CHANGES: dict[Any, tuple[dict[str, Any], str]] = {
    Account: ({"channels": "7", "opens_at": "09:30:00"}, "Opens at: {old} → 09:30:00; Channels: 60 → 7"),
    ApiKey: ({"name": "desk"}, "Name"),
    CallerId: ({"channels": "3"}, "Channels: None → 3"),
    Trunk: ({"channels": "5", "new_api_token": "a-secret"}, "API token; Channels"),
    Campaign: ({"status_callback": "https://client.example/?key=a-secret"}, "status_callback"),
    Flow: ({"document": FLOW}, "Document"),
    User: ({"username": "asha"}, "Username: {old} → asha"),
    PeriodicTask: ({"enabled": None}, "Enabled"),
    IntervalSchedule: ({"every": "77"}, "Number of Periods"),
}
# Their forms are the package's, like the ones above: one page of a class is enough.
SAME_AS_OTHERS = {ClockedSchedule, CrontabSchedule, SolarSchedule}
# Rows in the state in which the action does something.
ACTIONS: dict[str, Any] = {
    "show_webhook_secret": AccountFactory,
    "renew_webhook_secret": AccountFactory,
    "rotate": ApiKeyFactory,
    "revoke": ApiKeyFactory,
    "invite": None,
    "reset_second_factor": lambda: AuthenticatorAppFactory().user,
    "redeliver": lambda: WebhookDeliveryFactory(given_up=True),
    "pause_campaigns": lambda: CampaignFactory(running=True),
    "resume_campaigns": lambda: CampaignFactory(paused=True),
    "complete_campaigns": lambda: CampaignFactory(paused=True),
    "archive_campaigns": lambda: CampaignFactory(completed=True),
    "delete_campaigns": CampaignFactory,
    "remove_numbers": DoNotCallFactory,
    "take_out_calls": lambda: CallFactory(campaign__running=True),
    "check_trunks": TrunkFactory,
    **dict.fromkeys(("enable_tasks", "disable_tasks", "toggle_tasks", "delete_selected"), None),
}
# Actions whose entries are about other rows than those that are selected.
RECORDED_ON: dict[str, Any] = {"take_out_calls": lambda call: call.campaign}
# Runs a task of this server out of turn: it needs the broker, and is recorded like the actions beside it.
NOT_RUN = {"run_tasks"}


def make(model: Any) -> Any:
    if model is User:
        return User.objects.create_user("meera", password="a long enough password", is_staff=True)
    if model is IntervalSchedule:
        return IntervalSchedule.objects.create(every=5, period="seconds")
    if model is PeriodicTask:
        return PeriodicTask.objects.create(name="a tick", task="campaigns.end_due", interval=make(IntervalSchedule))
    return FACTORIES[model].create()


def typed(page: Any) -> dict[str, Any]:
    """Return what the forms of the page would send as they are."""
    forms = [page.context["adminform"].form]
    for inline in page.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    bound = [form[name] for form in forms for name in form.fields]
    given = {field.html_name: field.value() for field in bound}
    return {name: value for name, value in given.items() if value is not None and value is not False}


def test_every_page_records_in_the_one_place():
    for model, page in PAGES.items():
        assert isinstance(page, AuditedPage), model
        for name in ("log_change", "log_deletions", "save_formset", "history_view"):
            ours = getattr(AuditedPage, name)
            is_ours = getattr(type(page), name) is ours
            assert is_ours or (model is Campaign and name == "log_change"), (model, name)


def test_the_walk_knows_every_page_that_changes_rows(rf, admin_user):
    request = rf.get("/")
    request.user = admin_user
    changing = {model for model, page in PAGES.items() if page.has_change_permission(request)}
    assert changing - SAME_AS_OTHERS == set(CHANGES) | {WebhookDelivery} & changing


@pytest.mark.parametrize("model", CHANGES, ids=lambda model: model._meta.label_lower)
def test_a_change_of_a_row_is_recorded_with_names_and_without_secrets(admin_client, model):
    row = make(model)
    address = _address(model, "change", row.pk)
    given = typed(admin_client.get(address))
    changes, told = CHANGES[model]
    old = {name: given.get(name) for name in changes}
    given = {name: value for name, value in (given | changes).items() if value is not None}
    with written_tables() as tables:
        response = admin_client.post(address, given)
    assert response.status_code == 302, response.context["errors"]
    assert row._meta.db_table in tables
    [entry] = AuditEntry.objects.all()
    assert (entry.actor, entry.verb, entry.object_kind) == ("admin", "changed", row._meta.label_lower)
    assert entry.object_id == str(row.pk)
    first_old = next(iter(old.values())) if "channels" not in old else old.get("opens_at")
    assert entry.what == told.format(old=first_old)
    assert "a-secret" not in f"{entry} {entry.what}"
    assert entry.account == (row if model is Account else getattr(row, "account", None))
    page = admin_client.get(_address(model, "history", row.pk)).content.decode()
    assert "admin" in page
    assert "changed" in page


@pytest.mark.parametrize("model", CHANGES, ids=lambda model: model._meta.label_lower)
def test_a_form_that_is_saved_as_it_is_leaves_no_entry(admin_client, model):
    row = make(model)
    if model is Trunk:
        Trunk.objects.update(carrier="sandbox")
    address = _address(model, "change", row.pk)
    assert admin_client.post(address, typed(admin_client.get(address))).status_code == 302
    assert not AuditEntry.objects.exists()


ADDS: dict[Any, Any] = {
    Account: lambda: (
        {"sid": "acme", "region": "IN", "time_zone": "Asia/Kolkata", "opens_at": "10:30:00"}
        | {"closes_at": "21:00:00", "channels": 1, "starts_per_minute": 1, "requests_per_minute": 1}
    ),
    ApiKey: lambda: {"account": AccountFactory().pk, "name": "laptop"},
    CallerId: lambda: {"account": AccountFactory().pk, "number": "+918012345678", "trunk": TrunkFactory().pk},
    Trunk: lambda: {"name": "main", "carrier": "sandbox"},
    Flow: lambda: {"account": AccountFactory().pk, "flow_id": "1", "document": FLOW},
    IntervalSchedule: lambda: {"every": "77", "period": "seconds"},
}


@pytest.mark.parametrize("model", ADDS, ids=lambda model: model._meta.label_lower)
def test_a_new_row_has_one_entry(admin_client, model):
    address = _address(model, "add")
    response = admin_client.post(address, typed(admin_client.get(address)) | ADDS[model]())
    assert response.status_code == 302, response.context["errors"]
    row = model.objects.latest("pk")
    [entry] = AuditEntry.objects.all()
    assert (entry.actor, entry.verb, entry.object_id) == ("admin", "created", str(row.pk))


def test_a_new_person_is_recorded_with_the_account_and_the_link(admin_client):
    account = AccountFactory()
    given = {"username": "asha", "password": "", "account": account.pk, "role": "operator"}
    admin_client.post(reverse("admin:auth_user_add"), given)
    told = [(entry.verb, entry.object_name, entry.account) for entry in AuditEntry.objects.order_by("pk")]
    assert told == [
        ("created", f"asha: operator of {account}", account),
        ("invited", "asha", None),
        ("created", "asha", None),
    ]


def test_each_membership_of_a_person_has_an_entry_of_its_account(admin_client):
    one, two, three = AccountFactory.create_batch(3)
    person = make(User)
    kept = Membership.objects.create(user=person, account=one, role="viewer")
    gone = Membership.objects.create(user=person, account=two, role="viewer")
    address = _address(User, "change", person.pk)
    given = typed(admin_client.get(address)) | {"memberships-TOTAL_FORMS": 3}
    position = {int(given[f"memberships-{n}-id"]): n for n in (0, 1)}
    given[f"memberships-{position[kept.pk]}-role"] = "operator"
    given[f"memberships-{position[gone.pk]}-DELETE"] = "on"
    given |= {"memberships-2-user": person.pk, "memberships-2-account": three.pk, "memberships-2-role": "viewer"}
    assert admin_client.post(address, given).status_code == 302
    told = {(entry.verb, entry.account, entry.object_id, entry.what) for entry in AuditEntry.objects.all()}
    new = Membership.objects.get(account=three)
    assert told == {
        ("created", three, str(new.pk), ""),
        ("changed", one, str(kept.pk), "Role: viewer → operator"),
        ("deleted", two, str(gone.pk), ""),
    }


def test_the_walk_knows_every_action(rf, admin_user):
    request = rf.get("/")
    request.user = admin_user
    offered = {name for page in PAGES.values() for name in page.get_actions(request)}
    assert offered == set(ACTIONS) | NOT_RUN


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_recorded_for_each_row(admin_client, rf, admin_user, action):
    request = rf.get("/")
    request.user = admin_user
    model = next(model for model, page in PAGES.items() if action in page.get_actions(request))
    rows = [ACTIONS[action]() if ACTIONS[action] else _named(model, n) for n in range(2)]
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], "post": "yes"}
    chosen["reason"] = "asked to be called again"
    chosen["confirmed"] = action.removesuffix("_campaigns")
    with written_tables() as tables:
        response = admin_client.post(_address(model, "changelist"), chosen)
    assert response.status_code == 302
    assert AUDIT in tables, [str(message) for message in get_messages(response.wsgi_request)]
    rows = [RECORDED_ON.get(action, lambda row: row)(row) for row in rows]
    recorded = AuditEntry.objects.filter(object_kind=rows[0]._meta.label_lower, actor_name="admin")
    assert set(recorded.values_list("object_id", flat=True)) >= {str(row.pk) for row in rows}


def _named(model: Any, n: int) -> Any:
    if model is PeriodicTask:
        return PeriodicTask.objects.create(name=f"tick {n}", task="campaigns.end_due", interval=make(IntervalSchedule))
    if model is User:
        return User.objects.create_user(f"person {n}", is_staff=True)
    return make(model)


def test_an_action_over_many_rows_takes_as_many_statements_as_over_two(admin_client):
    def statements(count: int) -> int:
        rows = CampaignFactory.create_batch(count, running=True)
        chosen = {"action": "pause_campaigns", "_selected_action": [row.pk for row in rows]}
        with CaptureQueriesContext(connection) as queries:
            admin_client.post(_address(Campaign, "changelist"), chosen)
        return len(queries)

    statements(1)
    assert statements(2) == statements(12)
    assert AuditEntry.objects.filter(verb="paused").count() == 15


def test_an_action_that_only_asks_is_not_recorded(admin_client):
    row = make(IntervalSchedule)
    chosen = {"action": "delete_selected", "_selected_action": [row.pk]}
    assert admin_client.post(_address(IntervalSchedule, "changelist"), chosen).status_code == 200
    assert not AuditEntry.objects.exists()
    assert isinstance(PAGES[IntervalSchedule], ForeignPage)


@pytest.mark.parametrize("model", [Trunk, Account, CallerId, Flow])
def test_a_deletion_is_recorded_and_the_entry_stays(admin_client, model):
    row = make(model)
    pk = str(row.pk)
    assert admin_client.post(_address(model, "delete", pk), {"post": "yes"}).status_code == 302
    [entry] = AuditEntry.objects.all()
    assert (entry.verb, entry.object_id, entry.object_name) == ("deleted", pk, str(row))


# Signing in ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def meera(redis):
    return User.objects.create_user("meera", password="a long enough password", is_staff=True)


def sign_in(name: str, password: str) -> Any:
    return Client().post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR="192.0.2.1")


def tries() -> list[tuple[str, str, str]]:
    return [(entry.actor, entry.verb, entry.object_name) for entry in AuditEntry.objects.order_by("pk")]


def test_every_sign_in_is_recorded_and_refusals_once(meera):
    sign_in("meera", "wrong")
    sign_in("meera", "a long enough password")
    for _ in range(12):
        sign_in("meera", "wrong")
    failed = ("somebody", "sign-in-failed", "meera")
    assert tries() == [
        failed,
        ("meera", "signed-in", "meera"),
        *[failed] * 9,
        ("somebody", "sign-in-limited", "meera"),
    ]
    assert {entry.ip for entry in AuditEntry.objects.all()} == {"192.0.2.1"}


def test_a_name_that_nobody_has_is_not_told_as_it_may_be_a_password(redis):
    sign_in("hunter2-hunter2", "")
    sign_in("hunter2-hunter2", "wrong")
    assert tries() == [("somebody", "sign-in-failed", "a name that nobody has")]


def test_guesses_without_end_do_not_fill_the_table(redis):
    for number in range(55):
        sign_in(f"guess-{number}", "wrong")
    assert len(tries()) == 50


def test_an_account_s_people_read_its_sign_ins(meera):
    account = AccountFactory()
    Membership.objects.create(user=meera, account=account, role="viewer")
    sign_in("meera", "a long enough password")
    assert AuditEntry.objects.get().account == account


def test_the_own_password_that_is_changed_is_recorded(meera):
    client = Client()
    client.force_login(meera)
    new = {"new_password1": "another long password", "new_password2": "another long password"}
    client.post("/admin/password_change/", {"old_password": "wrong"} | new)
    assert tries() == []
    client.post("/admin/password_change/", {"old_password": "a long enough password"} | new)
    assert tries() == [("meera", "changed", "meera")]
    assert AuditEntry.objects.get().what == "password"


def test_a_password_that_is_set_for_somebody_is_recorded(admin_client, meera):
    given = {"password1": "another long password", "password2": "another long password", "usable_password": "true"}
    admin_client.post(reverse("admin:auth_user_password_change", args=[meera.pk]), given)
    assert tries() == [("admin", "changed", "meera")]
    assert "another" not in AuditEntry.objects.get().what


def test_a_password_chosen_by_a_link_is_recorded(admin_client, meera):
    page = admin_client.post(_address(User, "changelist"), {"action": "invite", "_selected_action": [meera.pk]})
    [message] = [str(message) for message in get_messages(page.wsgi_request)]
    link = message.partition("http://testserver")[2].partition("</code>")[0]
    form = Client()
    chosen = {"new_password1": "another long password", "new_password2": "another long password"}
    form.post(form.get(link, follow=True).redirect_chain[-1][0], chosen)
    assert tries() == [("admin", "invited", "meera"), ("meera", "changed", "meera")]


def test_the_start_page_shows_no_log_of_django_s(admin_client):
    assert "Recent actions" not in admin_client.get(reverse("admin:engine_room")).content.decode()
    assert admin.site.is_registered(AuditEntry)
