"""Every address of the console, as people of other accounts and roles. It goes by the registry of addresses."""

import re
from itertools import product
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, reverse

from campaigns_project import readiness
from console.views import Console
from tests.accounts.test_memberships import NOT_COMPARED
from tests.database_rows import stored_rows
from tests.dialer.test_admin import FACTORIES
from tests.factories import AccountFactory, CallerIdFactory, CampaignFactory

pytestmark = pytest.mark.django_db

PATTERNS: list[URLPattern] = Console(admin.site, readiness).urls
# Beginnings of names of columns: what a page would tell of others.
TOLD = ("name", "sid", "number", "file_name")


def others() -> list[Any]:
    """Make a row of each kind, each of an account of its own."""
    return [factory.create() for model, factory in FACTORIES.items() if model._meta.app_label != "sipgateway"]


def addresses(pattern: URLPattern, rows: list[Any]) -> list[str]:
    """Return the address of the page for every row that its parts may name."""
    keys: dict[str, set[Any]] = {"IntConverter": set(), "UUIDConverter": set(), "HexIdConverter": set()}
    for row in rows:
        kind = "IntConverter" if isinstance(row.pk, int) else "UUIDConverter"
        keys[kind].add(row.pk)
    named = {
        "sid": {row.account.sid for row in rows if row._meta.model_name in {"campaign", "flow", "contactlist"}},
        "flow_id": {row.flow_id for row in rows if row._meta.model_name == "flow"},
    }
    converters = pattern.pattern.converters
    choices = [
        named.get(name) or keys.get(type(converter).__name__) or {"pause", "resume", "answers-by-hour", "campaigns"}
        for name, converter in converters.items()
    ]
    combined = [dict(zip(converters, values, strict=True)) for values in product(*choices)]
    return [reverse(f"admin:{pattern.name}", kwargs=values) for values in combined]


def given(rows: list[Any]) -> dict[str, list[str]]:
    """Return fields that forms and filters of the console may have, with what belongs to others."""
    by_model = {row._meta.model_name: row for row in rows}
    account, campaign = by_model["account"], by_model["campaign"]
    keys = [str(row.pk) for row in rows]
    return {
        "account": [account.sid, str(account.pk)],
        "campaign": [str(campaign.pk)],
        "caller_id": [str(by_model["callerid"].pk), by_model["callerid"].number],
        "entry": [key for key in keys if key.isdecimal()],
        "list": [str(by_model["contactlist"].pk)],
        "flow": [str(by_model["flow"].pk)],
        "number": ["+919810077777"],
        "numbers": ["+919810077777"],
        "q": [campaign.name[:3], account.sid[:3]],
        "reason": ["forged"],
        "name": ["forged"],
        "post": ["yes"],
        "confirmed": ["yes"],
    }


def told_of_others(page: str, rows: list[Any], own: Any) -> list[str]:
    """Return what the page tells of others: names, SIDs and numbers of their rows."""
    secrets = {
        str(getattr(row, field.attname))
        for row in rows
        for field in row._meta.concrete_fields
        if field.name in TOLD and len(str(getattr(row, field.attname) or "")) > 3
    }
    secrets -= {own.sid, "+919810077777"}
    words = re.sub(r"<[^>]*>", " ", page)
    return [secret for secret in secrets if re.search(rf"(?<![\w+]){re.escape(secret)}(?!\w)", words)]


def everything() -> dict[tuple[str, str], str]:
    return stored_rows(model for model in apps.get_models() if model._meta.label_lower not in NOT_COMPARED)


@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
def test_a_stranger_sees_and_changes_nothing_of_others(person, role):
    rows = others()
    own = AccountFactory()
    stranger: Client = person(role, own)
    stranger.raise_request_exception = False
    forged, before = given(rows), everything()
    queries: list[Any] = [{}, *({key: value} for key, values in forged.items() for value in values[:3]), forged]
    for pattern in PATTERNS:
        for address in addresses(pattern, rows):
            for query in queries if "<" not in str(pattern.pattern) else [{}, forged]:
                response = stranger.get(address, query)
                page = (address, query, response.status_code)
                assert response.status_code in {200, 302, 400, 403, 404, 405}, page
                if response.status_code == 200:
                    text = b"".join(response) if response.streaming else response.content
                    assert told_of_others(text.decode(), rows, own) == [], page
            posted = stranger.post(address, forged)
            assert posted.status_code in {200, 302, 400, 403, 404, 405}, (address, posted.status_code)
    assert everything() == before


def test_a_viewer_changes_nothing_by_any_address(person):
    rows = others()
    campaign = CampaignFactory(running=True)
    CallerIdFactory(account=campaign.account)
    viewer: Client = person("viewer", campaign.account)
    viewer.raise_request_exception = False
    own = given(rows) | {"account": [campaign.account.sid], "campaign": [str(campaign.pk)]}
    before = everything()
    for pattern in PATTERNS:
        for address in addresses(pattern, [*rows, campaign]):
            response = viewer.post(address, own)
            assert response.status_code in {200, 302, 400, 403, 404, 405}, (address, response.status_code)
    assert everything() == before


def test_the_walk_reaches_pages_with_rows_in_their_address():
    with_rows = [pattern.name for pattern in PATTERNS if pattern.pattern.converters]
    assert {"resume_calling", "do_not_call_rejected", "system_test_trunk"} <= set(with_rows)
