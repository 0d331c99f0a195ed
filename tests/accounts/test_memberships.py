"""Every page, filter, search, autocomplete and action of the admin, as people of other accounts and of other roles.

The walk goes by the site's registry, so that a new page is walked too.
"""

import json
import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from accounts.admin_kit import AccountPage, AccountRows
from accounts.models import Account, ApiKey, CallerId, Membership
from campaigns.models import Campaign
from tests.database_rows import stored_rows
from tests.dialer.test_admin import FACTORIES
from tests.factories import (
    AccountFactory,
    ApiKeyFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CampaignFactory,
    TrunkFactory,
)

pytestmark = pytest.mark.django_db

PAGES: dict[Any, Any] = dict(admin.site._registry)
OURS = {model: page for model, page in PAGES.items() if model in FACTORIES}
# What the walk itself writes: signing in, and messages for the next page.
NOT_COMPARED = {"sessions.session", "auth.user"}


@pytest.fixture
def person(django_user_model):
    def make(account: Account | None, role: str, name: str = "meera") -> Client:
        user = django_user_model.objects.create_user(name, is_staff=True)
        Membership.objects.create(user=user, account=account, role=role)
        client = Client(raise_request_exception=False)
        client.force_login(user)
        return client

    return make


def _address(model: Any, page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def _everything() -> dict[tuple[str, str], str]:
    return stored_rows(model for model in apps.get_models() if model._meta.label_lower not in NOT_COMPARED)


def _row_addresses(model: Any, row: Any) -> list[str]:
    """Return the address of every page of the row, also of our own pages, such as a button's."""
    list_address = _address(model, "changelist")
    found = []
    for pattern in PAGES[model].get_urls():
        route = str(pattern.pattern)
        if re.search(r"<path:object_id>|<id>", route):
            route = re.sub(r"<path:object_id>|<id>", str(row.pk), route)
            verbs = ["pause", "complete", "delete"] if "<str:verb>" in route else [""]
            found += [list_address + route.replace("<str:verb>", verb) for verb in verbs]
    return found


def _searches(row: Any) -> list[str]:
    values = [str(getattr(row, field.attname)) for field in row._meta.concrete_fields]
    return [value for value in dict.fromkeys([str(row.pk), *values]) if value and len(value) < 100]


def _filters(model: Any, row: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"campaign": getattr(row, "campaign_id", None) or row.pk}]
    for name in PAGES[model].list_filter:
        try:
            field = model._meta.get_field(name if isinstance(name, str) else name[0])
        except (FieldDoesNotExist, TypeError):
            continue
        key = f"{field.name}__id__exact" if field.is_relation else f"{field.name}__exact"
        value = getattr(row, field.attname)
        found.append({key: "" if value is None else value})
    return found


def _reads(client: Client, model: Any, row: Any) -> list[Any]:
    lists = [{}, {"_facets": "True"}, *({"q": text} for text in _searches(row)), *_filters(model, row)]
    return [client.get(_address(model, "changelist"), query) for query in lists]


def _writes(client: Client, model: Any, row: Any) -> None:
    form = {field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields if field.editable}
    given = {key: str(value) for key, value in form.items() if value is not None}
    given |= {
        "account": getattr(row, "account_id", "") or "",
        "post": "yes",
        "name": "forged",
        "confirmed": "complete",
        "_save": "Save",
    }
    for address in [_address(model, "add"), *_row_addresses(model, row)]:
        client.post(address, given)
    actions = [name if isinstance(name, str) else name.__name__ for name in PAGES[model].actions or ()]
    for action in [*actions, "delete_selected"]:
        for chosen in ({"_selected_action": [row.pk]}, {"_selected_action": [row.pk], "select_across": "1"}):
            if model is Account and "select_across" in chosen:
                continue  # all that are listed: the person's own
            for index in ("0", "7", "-1"):
                client.post(
                    _address(model, "changelist"),
                    {"action": action, "index": index, "post": "yes", "confirmed": "complete", **chosen},
                )


def test_no_page_and_no_inline_is_without_the_rows_of_accounts():
    for model, page in PAGES.items():
        assert isinstance(page, AccountPage), model
        if page.account_path is not None:
            assert all(issubclass(inline, AccountRows) and inline.account_path for inline in page.inlines), model


@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label_lower)
def test_a_stranger_sees_and_changes_nothing_of_others(person, model, role):
    row: Any = FACTORIES[model].create()
    account = AccountFactory()
    stranger = person(account, role)
    before = _everything()
    sids = [sid for sid in Account.objects.values_list("sid", flat=True) if sid != account.sid]
    for response in _reads(stranger, model, row):
        assert response.status_code in {200, 302, 403}, response.request
        page = response.content.decode()
        assert not re.search(rf"/{re.escape(str(row.pk))}/(change|delete)/", page), response.request
        assert not [sid for sid in sids if re.search(rf">\s*{re.escape(sid)}\s*<", page)], response.request
        assert 'name="_selected_action" value="' not in page or model is Account
    for address in _row_addresses(model, row):
        response = stranger.get(address, follow=True)
        assert response.status_code in {403, 404, 405}, (address, response.status_code)
    if PAGES[model].account_path is not None:
        assert stranger.get(_address(model, "change", row.pk)).status_code == 404
        assert stranger.get(_address(model, "history", row.pk)).status_code == 404
    else:
        assert stranger.get(_address(model, "changelist")).status_code == 403
    _writes(stranger, model, row)
    assert _everything() == before


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label_lower)
def test_a_viewer_sees_the_account_s_rows_and_changes_nothing(person, model):
    row: Any = FACTORIES[model].create()
    page = PAGES[model]
    account = page._account_of(row) if page.account_path else AccountFactory().pk
    viewer = person(Account.objects.get(pk=account), "viewer")
    before = _everything()
    status = 200 if page.account_path else 403
    assert viewer.get(_address(model, "changelist")).status_code == status
    assert viewer.get(_address(model, "change", row.pk)).status_code == status
    _writes(viewer, model, row)
    assert _everything() == before


@pytest.mark.parametrize("model", [model for model, page in PAGES.items() if page.account_path is None])
@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
def test_what_belongs_to_no_account_is_for_administrators_of_all(person, model, role):
    for account, name in ((AccountFactory(), "one"), (None, "all")):
        response = person(account, role, name).get(_address(model, "changelist"))
        assert response.status_code == (200 if account is None and role == "administrator" else 403)


def test_autocompletes_offer_the_person_s_rows_alone(person):
    mine, other = AccountFactory(), CallerIdFactory()
    client = person(mine, "administrator")
    walked = 0
    for model, page in PAGES.items():
        for name in page.get_autocomplete_fields(None):
            query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name}
            response = client.get(reverse("admin:autocomplete"), query)
            offered = json.loads(response.content)["results"] if response.status_code == 200 else []
            assert {choice["text"] for choice in offered} <= {mine.sid}, query
            walked += 1
    assert walked >= 4
    assert other.account.sid != mine.sid


def test_filters_offer_the_person_s_accounts_alone(person):
    mine, also_mine, other = AccountFactory.create_batch(3)
    client = person(mine, "viewer")
    Membership.objects.create(user_id=client.session["_auth_user_id"], account=also_mine, role="viewer")
    page = client.get(_address(Campaign, "changelist")).content.decode()
    assert mine.sid in page
    assert also_mine.sid in page
    assert other.sid not in page


def test_a_campaign_of_others_is_not_named_in_a_filter(person):
    campaign = CampaignFactory(name="Their renewals")
    address = reverse("admin:campaigns_call_changelist")
    assert (
        "Their renewals"
        not in person(AccountFactory(), "viewer").get(address, {"campaign": campaign.pk}).content.decode()
    )


def test_superusers_and_members_of_all_see_every_account(person, admin_client):
    sids = {campaign.account.sid for campaign in CampaignFactory.create_batch(2)}
    for client in (admin_client, person(None, "viewer")):
        page = client.get(_address(Campaign, "changelist")).content.decode()
        assert all(sid in page for sid in sids)


# Roles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "state"), [("viewer", "in-progress"), ("operator", "paused"), ("administrator", "paused")]
)
def test_an_operator_runs_campaigns_and_a_viewer_does_not(person, role, state):
    campaign = CampaignFactory(running=True)
    address = reverse("admin:campaigns_campaign_act", args=[campaign.pk, "pause"])
    person(campaign.account, role).post(address)
    assert Campaign.objects.get().status == state


@pytest.mark.parametrize(("role", "made"), [("viewer", 0), ("operator", 0), ("administrator", 1)])
def test_an_administrator_makes_keys_of_the_own_account_alone(person, role, made):
    mine, other = AccountFactory.create_batch(2)
    client = person(mine, role)
    for account in (mine, other):
        client.post(_address(ApiKey, "add"), {"account": account.pk, "name": "laptop"})
    assert [key.account for key in ApiKey.objects.all()] == [mine] * made


def test_an_administrator_here_and_viewer_there_changes_nothing_there(person):
    mine, other = AccountFactory.create_batch(2)
    client = person(mine, "administrator")
    Membership.objects.create(user_id=client.session["_auth_user_id"], account=other, role="viewer")
    keys = [ApiKeyFactory(account=mine), ApiKeyFactory(account=other)]
    client.post(_address(ApiKey, "add"), {"account": other.pk, "name": "laptop"})
    assert ApiKey.objects.filter(account=other).count() == 1
    for index in ("0", "1", "-1", "x"):
        chosen = {"action": "revoke", "index": index, "_selected_action": [key.pk for key in keys]}
        assert client.post(_address(ApiKey, "changelist"), chosen).status_code == 403
    assert not ApiKey.objects.exclude(revoked_at=None).exists()
    assert client.post(_address(ApiKey, "change", keys[1].pk), {"name": "forged"}).status_code == 403
    chosen = {"action": "revoke", "_selected_action": [keys[0].pk]}
    client.post(_address(ApiKey, "changelist"), chosen)
    assert [key.account for key in ApiKey.objects.exclude(revoked_at=None)] == [mine]


def test_limits_and_numbers_of_an_account_are_the_server_s(person):
    caller_id = CallerIdFactory()
    account, trunk = caller_id.account, caller_id.trunk
    client = person(account, "administrator")
    assert client.post(_address(Account, "change", account.pk), {"channels": 1000}).status_code == 403
    given = {"account": account.pk, "number": "+918012345679", "trunk": trunk.pk, "is_active": "on"}
    assert client.post(_address(CallerId, "add"), given).status_code == 403
    client.post(_address(CallerId, "change", caller_id.pk), given | {"trunk": TrunkFactory().pk, "channels": 2})
    changed = CallerId.objects.get()
    assert (changed.trunk, changed.channels) == (trunk, 2)


def test_a_trunk_is_named_to_no_tenant(person, admin_client):
    trunk = TrunkFactory(name="the-shared-way-out")
    attempt = CallAttemptFactory(completed=True, call__campaign__caller_id__trunk=trunk)
    client = person(attempt.campaign.account, "administrator")
    for row in (attempt, attempt.call, attempt.campaign, attempt.campaign.caller_id):
        for address in (_address(type(row), "changelist"), _address(type(row), "change", row.pk)):
            page = client.get(address)
            assert page.status_code == 200
            assert trunk.name not in page.content.decode(), address
    assert trunk.name in admin_client.get(_address(type(attempt), "changelist")).content.decode()


def test_permissions_of_django_s_own_mean_nothing(client, django_user_model):
    user = django_user_model.objects.create_user("eve", is_staff=True)
    user.user_permissions.set(user.user_permissions.model.objects.all())
    client.force_login(user)
    assert {client.get(_address(model, "changelist")).status_code for model in PAGES} == {403}


# People --------------------------------------------------------------------------------------------------------------


def test_a_person_is_made_in_a_form_of_four_fields(admin_client, django_user_model, client):
    account = AccountFactory()
    address = reverse("admin:auth_user_add")
    assert set(admin_client.get(address).context["adminform"].form.fields) == {
        "username",
        "password",
        "account",
        "role",
    }
    given = {"username": "meera", "password": "a long enough password", "account": account.pk, "role": "operator"}
    admin_client.post(address, given)
    [membership] = Membership.objects.all()
    assert (membership.user.username, membership.account, membership.role) == ("meera", account, "operator")
    assert client.login(username="meera", password="a long enough password")
    assert client.get(_address(Campaign, "changelist")).status_code == 200
    assert not membership.user.is_superuser


def test_a_person_without_a_password_gets_a_link_that_works_once(admin_client, client):
    given = {"username": "meera", "password": "", "account": "", "role": "viewer"}
    page = admin_client.post(reverse("admin:auth_user_add"), given, follow=True).content.decode()
    [link] = re.findall(r"<code>http://testserver(/admin/password/[^<]+)</code>", page)
    assert not client.login(username="meera", password="")
    form = client.get(link, follow=True)
    chosen = {"new_password1": "a long enough password", "new_password2": "a long enough password"}
    client.post(form.redirect_chain[-1][0], chosen)
    assert client.login(username="meera", password="a long enough password")
    assert "new_password1" not in Client().get(link, follow=True).content.decode()


@pytest.mark.parametrize("password", ["short", "1234567890", "password"])
def test_a_weak_password_is_refused(admin_client, django_user_model, password):
    given = {"username": "meera", "password": password, "account": "", "role": "viewer"}
    assert admin_client.post(reverse("admin:auth_user_add"), given).status_code == 200
    assert not django_user_model.objects.filter(username="meera").exists()


def test_an_administrator_of_all_makes_people_and_no_superuser(person, django_user_model, admin_user):
    client = person(None, "administrator")
    given = {"username": "asha", "password": "a long enough password", "account": "", "role": "viewer"}
    client.post(reverse("admin:auth_user_add"), given | {"is_superuser": "on"})
    assert django_user_model.objects.get(username="asha").is_superuser is False
    for page in ("change", "history", "delete"):
        assert client.get(reverse(f"admin:auth_user_{page}", args=[admin_user.pk])).status_code in {403, 404}
    assert client.get(reverse("admin:auth_user_password_change", args=[admin_user.pk])).status_code in {403, 404}
    chosen = {"action": "invite", "_selected_action": [admin_user.pk]}
    assert (
        "/admin/password/"
        not in client.post(reverse("admin:auth_user_changelist"), chosen, follow=True).content.decode()
    )


def test_a_person_has_one_role_in_an_account(person, django_user_model):
    person(None, "viewer")
    with pytest.raises(IntegrityError):
        Membership.objects.create(user=django_user_model.objects.get(), account=None, role="operator")
