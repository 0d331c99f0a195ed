"""A walk over every address and every method that changes something: it leaves an audit entry, or has a reason not to.

An address that this walk does not know fails it.
"""

import re
from itertools import product
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client

from accounts import installation
from accounts.audit_entry import AuditEntry
from accounts.models import Account, ApiKey
from tests.api.addresses import addresses
from tests.api.client import Api
from tests.api.test_every_address import TENANTS, Tenant, ask, body_for, filled, tenant
from tests.database_writes import AUDIT, written_tables
from tests.factories import CallFactory, CampaignFactory

pytestmark = pytest.mark.django_db

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
# What is sent with a method that leaves no entry, and why that is right.
UNAUDITED = {
    ("carrier-events/<str:carrier>/<hex:attempt_id>", "POST"): "news of a carrier: the inbox is their record",
}
# Addresses below an account that change nothing, whatever their method.
READ_ONLY = {"/campaigns/rehearsal"}
# The pages of people have a walk of their own: tests/accounts/test_audited_admin.py.
PEOPLES = [address for address in addresses() if address.startswith("admin/")]


@pytest.fixture(scope="module")
def shared(shared_rows: None) -> Tenant:
    return tenant("acme", 1)


@pytest.fixture
def acme(shared: Tenant, redis: Any) -> Tenant:
    return shared.again()


@pytest.fixture
def account(acme: Tenant) -> Account:
    return acme.account


@pytest.fixture
def api(acme: Tenant) -> Api:
    return acme.api


@pytest.fixture(autouse=True)
def known_installation(db):
    """The first question of a new server makes the row of its installation."""
    installation.load()


@pytest.fixture(autouse=True)
def no_limits(settings):
    settings.FAILED_SIGN_INS_PER_MINUTE = 1_000_000


def send(tenant: Any, address: str, method: str) -> Any:
    where = filled(address, tenant.values)
    if address.endswith("/csv-upload"):
        form = {"list_name": "new", "file_name": SimpleUploadedFile("new.csv", b"number\n+919810012345\n")}
        return tenant.api.http.post(where, form, headers=tenant.api.headers)
    body: Any = body_for(address, tenant.values)
    if address.endswith("/contacts") and "lists/" not in address and method == "POST":
        body = {"contacts": [{"number": "+919899999999"}]}
    if address.endswith(("/campaigns", "/campaigns/rehearsal")) and method == "POST":
        body["campaigns"][0]["flow_type"] = "greeting"
    if address.endswith("/lists") and method == "POST":
        body = {"lists": [{"name": "new"}]}
    return ask(tenant.api.http, method, where, body, **tenant.api.headers)


@pytest.mark.parametrize(("address", "method"), list(product(TENANTS, UNSAFE)))
def test_a_request_that_changes_something_leaves_an_entry_in_its_transaction(acme, address, method):
    if "/lists/<str:list_sid>/contacts" in address and method == "POST":
        with transaction.atomic():
            acme.account.contact_lists.get().entries.all().delete()
    if address.endswith("/lists/<str:list_sid>") and method == "DELETE":
        acme.account.csv_uploads.all().delete()
    if address.endswith("/campaigns/<str:campaign_id>") and method == "DELETE":
        acme.values["campaign_id"] = CampaignFactory(account=acme.account).pk.hex
    if address.endswith("/again") and method == "POST":
        CallFactory(failed=True, campaign=acme.account.campaigns.get(pk=acme.values["campaign_id"]))
    with written_tables() as tables:
        response = send(acme, address, method)
    if response.status_code == 405:
        assert not tables
        return
    assert response.status_code in {200, 207}, response.content
    if address.endswith(tuple(READ_ONLY)):
        assert not tables
        return
    assert AUDIT in tables, f"{method} {address} writes {tables or 'nothing'} and no entry"
    key = ApiKey.objects.get()
    for entry in AuditEntry.objects.exclude(actor_id="7"):
        assert (entry.actor_kind, entry.actor_id, entry.account) == ("api-key", str(key.pk), acme.account)
        assert not re.search(r"\+91\d{8}", f"{entry.object_name} {entry.what}"), "a number of a person"
        assert entry.request_id == response.json()["request_id"]


@pytest.mark.parametrize("address", [address for address in addresses() if address not in {*TENANTS, *PEOPLES}])
def test_every_other_address_changes_nothing_or_is_named_with_the_reason(acme, address):
    kind = address.split("/")[0]
    where = acme.signed.get(kind) or f"/{address}"
    for method in UNSAFE:
        with written_tables() as tables:
            response = ask(Client(), method, where, {"Status": "completed"})
        assert response.status_code in {200, 204, 403, 405, 503}, (method, response.status_code)
        assert bool(tables) == ((address, method) in UNAUDITED), (method, tables)


def test_one_request_with_many_contacts_is_one_entry(api, account):
    body = {"contacts": [{"number": f"+9198100{n:05d}"} for n in range(40)]}
    assert set(api.post("/contacts", body).codes) == {200}
    [entry] = AuditEntry.objects.filter(object_kind="contacts.contact")
    assert (entry.verb, entry.object_name, entry.object_id) == ("created", "40 contacts", "")
    api.post("/contacts", body)
    assert AuditEntry.objects.filter(object_kind="contacts.contact").count() == 1


def test_a_request_that_is_sent_again_is_recorded_once(api):
    body = {"contacts": [{"number": "+919810012345"}]}
    for _ in range(2):
        api.post("/contacts", body, headers={"Idempotency-Key": "k"})
    assert AuditEntry.objects.filter(object_kind="contacts.contact").count() == 1


def test_a_report_is_recorded_with_where_it_went(acme):
    response = acme.api.http.get(acme.signed["reports"], REMOTE_ADDR="192.0.2.9")
    assert response.status_code == 200
    entry = AuditEntry.objects.latest("pk")
    assert (entry.verb, entry.what, entry.ip, entry.account) == (
        *("downloaded", "report as csv", "192.0.2.9"),
        acme.account,
    )
    assert acme.api.http.get(acme.signed["reports"][:-1]).status_code == 403
    assert AuditEntry.objects.latest("pk") == entry


def test_a_refused_request_leaves_no_entry(api):
    assert api.create(numbers=["+9112"]).status == 400
    assert not AuditEntry.objects.filter(object_kind="campaigns.campaign").exists()
