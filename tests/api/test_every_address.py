"""A walk over every address of the server as a client that has no rights there.

An address that this walk does not know fails it: add its parameter to `acme.values`, or the address to the table of its
kind with the rule that it obeys.
"""

import io
import json
import re
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from accounts.credentials import create_key
from accounts.models import Account, ApiKey
from api.exophones.responses import sid as exophone_sid
from core import signed_addresses
from dialer import links, recordings
from reports.links import report_url
from tests.api.addresses import addresses
from tests.api.client import Api, basic
from tests.database_rows import stored_rows
from tests.factories import (
    ACTOR,
    AccountFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    CarrierEventFactory,
    ContactFactory,
    ContactListFactory,
    CsvUploadFactory,
    CustomFieldFactory,
    DoNotCallFactory,
    FlowFactory,
    IdempotentRequestFactory,
    ListEntryFactory,
    RejectedRowFactory,
    TrunkFactory,
    WebhookDeliveryFactory,
    WebhookTryFactory,
)

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OUR_APPS = ("accounts", "api", "campaigns", "contacts", "dialer", "webhooks", "auth", "django_celery_beat")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

WRITTEN_ONLY = {
    "v2/accounts/<str:account_sid>/contacts/csv-upload",
    "v2/accounts/<str:account_sid>/do-not-call/csv-upload",
    "v2/accounts/<str:account_sid>/campaigns/<str:campaign_id>/calls/cancel",
    "v2/accounts/<str:account_sid>/campaigns/rehearsal",
    "v2/accounts/<str:account_sid>/campaigns/<str:campaign_id>/again",
    "v2/accounts/<str:account_sid>/lists/<str:list_sid>/contacts/<str:contact_sid>",
}
# Public, and without data of any account.
PUBLIC = {"healthz", "readyz", "openapi.json", "docs/", "redoc/"}
# Open to clients that were given the address with its signature.
SIGNED = {
    "carrier-events/<str:carrier>/<hex:attempt_id>",
    "twiml/<hex:attempt_id>",
    "twiml/<hex:attempt_id>/recording",
    "twiml/<hex:attempt_id>/error",
    "passthru/<int:trunk_pk>",
    "flows/<int:flow_pk>",
    "campaign-texts/<hex:campaign_id>",
    "call-texts/<int:call_pk>",
    "reports/<hex:campaign_id>.csv",
    "recordings/<hex:recording_id>.wav",
}
# Open to this machine and to clients with METRICS_TOKEN.
OPERATORS = {"metrics"}
# Pages of the admin for every member of the staff: login, the own password, a start page that lists what they may see,
# the texts of the JavaScript; and two that redirect to other pages.
INVITED = {"admin/login/", "admin/password/<uidb64>/<token>/"}
STAFFS = {
    "admin/",
    "admin/login/",
    "admin/logout/",
    "admin/password_change/",
    "admin/password_change/done/",
    "admin/second-factor/",
    "admin/second-factor/set-up/",
    "admin/jsi18n/",
    "admin/r/<path:content_type_id>/<path:object_id>/",
    "admin/(?P<url>.*)$",
}


def is_tenants(address: str) -> bool:
    return address.startswith(("v2/accounts/<str:account_sid>/", "v2_beta/Accounts/<str:account_sid>/"))


TENANTS = [address for address in addresses() if is_tenants(address)]
ADMINS = [address for address in addresses() if address.startswith("admin/")]


@dataclass
class Tenant:
    """An account with one object of each kind.

    Attributes:
        values: of the parameters of its addresses.
        marks: texts that only its own data have.
    """

    account: Account
    api: Api
    signed: dict[str, str]
    values: dict[str, str]
    marks: set[str] = field(default_factory=set)

    def again(self) -> "Tenant":
        """Return it for one test of several, which may change its account, its client and its values."""
        api = copy(self.api)
        api.http = Client(raise_request_exception=False)
        return replace(self, account=copy(self.account), api=api, values=dict(self.values))


def tenant(name: str, digit: int) -> Tenant:
    account = AccountFactory(sid=name, requests_per_minute=1_000_000)
    flow = FlowFactory(account=account, document={"steps": [{"say": f"The flow of {name}."}]})
    caller_id = CallerIdFactory(account=account, number=f"+91804711331{digit}")
    running = CampaignFactory(account=account, running=True, name=f"fees of {name}", flow=flow, caller_id=caller_id)
    CustomFieldFactory(campaign=running, value=f"note of {name}")
    reading = CampaignFactory(account=account, greeting=True, running=True, text=f"The text of {name}.")
    over = CampaignFactory(account=account, completed=True)
    attempt = CallAttemptFactory(
        call=CallFactory(in_progress=True, campaign=running, number=f"+91981111110{digit}"), in_progress=True
    )
    said = CallAttemptFactory(
        call=CallFactory(completed=True, campaign=over, number=f"+91982222220{digit}"), completed=True
    )
    asked = asked_over_twilio(CallFactory(in_progress=True, campaign=running), f"trunk of {name}")
    call = CallFactory(campaign=reading, number=f"+91983333330{digit}")
    CarrierEventFactory(attempt=attempt)
    contact = ContactFactory(account=account, number=f"+91984444440{digit}", first_name=f"Asha of {name}")
    contact_list = ContactListFactory(account=account, name=f"parents of {name}")
    ListEntryFactory(contact_list=contact_list, contact=contact)
    upload = CsvUploadFactory(account=account, contact_list=contact_list, completed=True, file_name=f"{name}.csv")
    RejectedRowFactory(upload=upload, cells=[f"row of {name}"])
    listed = DoNotCallFactory(account=account, number=f"+91985555550{digit}", note=f"asked {name}")
    webhook = WebhookDeliveryFactory(campaign=running, given_up=True, url=f"https://client.example/{name}?key=k")
    WebhookTryFactory(delivery=webhook, response=f"the receiver of {name}")
    IdempotentRequestFactory(account=account, response=f'"a response to {name}"')
    made = create_key(account, actor=ACTOR)
    uploads = {"upload_id": upload.pk.hex, "webhook_id": webhook.webhook_id.hex}
    lists = {"contact_sid": contact.pk.hex, "list_sid": contact_list.pk.hex, "number": listed.number}
    lists["called"] = attempt.call.number
    others = {
        "account_sid": name,
        "campaign_id": running.pk.hex,
        "exophone_sid": exophone_sid(caller_id),
    }
    return Tenant(
        account,
        Api(account, made.key, made.token),
        signed_addresses_of(attempt, asked, call, said),
        uploads | lists | others,
        {
            *(name, caller_id.number, account.webhook_secret.reveal(), made.key),
            *numbers_of(account),
            *(row.pk.hex for row in (running, reading, over, attempt, contact, contact_list, upload)),
            webhook.webhook_id.hex,
        },
    )


def asked_over_twilio(call: Any, trunk_name: str) -> Any:
    """Return an attempt of the call that is in progress over a trunk of this name."""
    trunk = TrunkFactory(twilio=True, name=trunk_name)
    return CallAttemptFactory(call=call, in_progress=True, trunk=trunk, carrier_account=trunk.carrier_account)


def numbers_of(account: Account) -> set[str]:
    """Return all numbers of people that the account has."""
    return {
        *(row.number for row in account.contacts.all()),
        *(row.number for row in account.do_not_call.all()),
        *(call.number for campaign in account.campaigns.all() for call in campaign.calls.all()),
    }


def signed_addresses_of(attempt: Any, asked: Any, call: Any, said: Any) -> dict[str, str]:
    """Return an address with a key of each kind.

    Args:
        attempt: in progress.
        asked: in progress, over Twilio.
        call: of a campaign that reads a text.
        said: an attempt of a campaign that has ended, whose callee is recorded.
    """
    urls = [
        links.events_url("exotel", attempt.pk),
        links.twiml_url(asked.pk),
        links.passthru_url(TrunkFactory(exotel=True).pk),
        links.flow_url(attempt.call.campaign, attempt.call.pk),
        links.flow_url(call.campaign, call.pk),
        f"/call-texts/{call.pk}?token={signed_addresses.token('call-texts', str(call.pk))}",
        report_url(said.call.campaign.pk),
        recordings.save(said, "0.1", io.BytesIO(b"RIFF sound"), 3, timezone.now()).url,
    ]
    paths = [urlsplit(url)._replace(scheme="", netloc="").geturl() for url in urls]
    return {path.split("/")[1]: path for path in paths}


@pytest.fixture
def stored(settings: Any) -> None:
    in_memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = settings.STORAGES | {"recordings": in_memory}


@pytest.fixture
def acme(redis: Any, stored: None) -> Tenant:
    return tenant("acme", 1)


@pytest.fixture
def umbrella(redis: Any, stored: None) -> Tenant:
    return tenant("umbrella", 2)


@pytest.fixture(autouse=True)
def wrong_credentials_without_end(settings: Any) -> None:
    settings.FAILED_SIGN_INS_PER_MINUTE = 1_000_000


def rows() -> dict[tuple[str, str], str]:
    """Return everything that is stored, except when a key was last used, and that wrong credentials were sent."""
    models = [model for app in OUR_APPS for model in apps.get_app_config(app).get_models() if model is not AuditEntry]
    return stored_rows(models)


def filled(address: str, values: dict[str, str]) -> str:
    """Return the address with values for its parameters. Raises KeyError for an unknown parameter."""
    return "/" + PARAMETER.sub(lambda match: values[match.group(1)], address)


def body_for(address: str, its: dict[str, str]) -> dict[str, Any]:
    """Return a body that would change something if its objects were the client's own."""
    if address.endswith("/again"):
        return {"who": ["no-answer"]}
    if address.endswith("/calls/cancel"):
        return {"calls": [{"number": its["called"]}]}
    if address.endswith("/do-not-call/<str:number>"):
        return {"reason": "asked again"}
    if "/do-not-call" in address:
        return {"do_not_call": [{"number": "+919855555559"}]}
    if "/contacts" in address and "lists/" in address:
        return {"contact_references": [{"contact_sid": its["contact_sid"]}]}
    if "/contacts" in address:
        return {"contacts": [{"sid": its["contact_sid"], "contact_sid": its["contact_sid"], "first_name": "Mallory"}]}
    if "/lists" in address:
        return {"lists": [{"sid": its["list_sid"], "list_sid": its["list_sid"], "name": "Mallory's"}]}
    if "<str:campaign_id>" in address:
        return {"campaigns": [{"action": "pause", "status_callback": "https://mallory.example/told"}]}
    return {"campaigns": [{"lists": [its["list_sid"]], "caller_id": "08047113311", "read_via_text": "Hello."}]}


def told(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode() + str(response.headers)


def tells(response: Any, of: Tenant, *sent: str) -> list[str]:
    """Return the marks of the tenant that are in the response and not in the request; ids in either spelling."""
    text, question = (part.replace("-", "") for part in (told(response), "".join(sent)))
    return [mark for mark in of.marks if mark.replace("-", "") in text and mark.replace("-", "") not in question]


def ask(http: Any, method: str, address: str, body: Any = b"", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.generic(method, address, raw, "application/json", headers=headers)


def test_every_address_is_known_to_this_walk(acme):
    known = PUBLIC | SIGNED | OPERATORS | set(TENANTS) | set(ADMINS)
    assert set(addresses()) - known == set()
    for address in TENANTS:
        assert set(PARAMETER.findall(address)) <= set(acme.values), address


def test_the_owner_finds_something_at_each_of_its_addresses(acme):
    """This shows that the other tests are refused for the right reason."""
    for address in TENANTS:
        response = ask(acme.api.http, "GET", filled(address, acme.values), **acme.api.headers)
        assert response.status_code == (405 if address in WRITTEN_ONLY else 200), (address, told(response))


def test_another_tenants_sid_is_unknown_at_every_address_to_every_method(acme, umbrella):
    before = rows()
    for address, method in product(TENANTS, METHODS):
        where, body = filled(address, acme.values), body_for(address, acme.values)
        response = ask(umbrella.api.http, method, where, body, **umbrella.api.headers)
        assert response.status_code == 404, (method, where)
        assert tells(response, acme, where, str(body)) == [], (method, where)
    assert rows() == before


def test_another_tenants_objects_are_unknown_below_the_own_sid(acme, umbrella):
    before = rows()
    for address, method in product(TENANTS, METHODS):
        objects = [name for name in PARAMETER.findall(address) if name != "account_sid"]
        # If an address names two objects, it is enough that one of them is another's.
        for theirs in [dict.fromkeys(objects, acme), *({name: acme} for name in objects)] if objects else []:
            its = umbrella.values | {name: owner.values[name] for name, owner in theirs.items()}
            where, body = filled(address, its), body_for(address, acme.values)
            response = ask(umbrella.api.http, method, where, body, **umbrella.api.headers)
            assert response.status_code in {404, 405}, (method, where, told(response))
            assert tells(response, acme, where, str(body)) == [], (method, where)
    assert rows() == before


def test_another_tenants_objects_can_not_be_named_in_a_body(acme, umbrella):
    before = rows()
    for address, method in product(TENANTS, METHODS):
        where, body = filled(address, umbrella.values), body_for(address, acme.values)
        if method == "DELETE":  # this would delete umbrella's own
            continue
        response = ask(umbrella.api.http, method, where, body, **umbrella.api.headers)
        assert response.status_code < 500, (method, where)
        assert tells(response, acme, where, str(body)) == [], (method, where, told(response))
    after = rows()
    mine = {key for key, row in before.items() if after.get(key) != row}
    assert not any(mark in before[key] for key in mine for mark in acme.marks), "a row of acme has changed"
    new = [row for key, row in after.items() if key not in before]
    assert [mark for mark in acme.marks for row in new if mark in row.replace("-", "")] == []


@pytest.mark.parametrize("who", ["nobody", "wrong token", "revoked", "inactive", "mixed", "staff"])
def test_without_working_credentials_every_address_of_a_tenant_refuses(acme, umbrella, who, django_user_model):
    key = ApiKey.objects.get(account=acme.account)
    theirs = umbrella.api.headers["authorization"]
    headers = dict(acme.api.headers)
    match who:
        case "nobody":
            headers = {}
        case "wrong token":
            headers = {"authorization": basic(key.key, "wrong")}
        case "revoked":
            ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
        case "inactive":
            Account.objects.filter(pk=acme.account.pk).update(is_active=False)
        case "mixed":
            token = create_key(umbrella.account, actor=ACTOR).token
            headers = {"authorization": basic(key.key, token)}
        case "staff":  # a session of the admin does not open the API
            acme.api.http.force_login(django_user_model.objects.create_superuser("root"))
            headers = {}
    assert headers.get("authorization") != theirs
    before = rows()
    for address, method in product(TENANTS, METHODS):
        where = filled(address, acme.values)
        response = ask(acme.api.http, method, where, body_for(address, acme.values), **headers)
        assert response.status_code == 401, (who, method, where)
        assert tells(response, acme, where) == [], (who, method, where)
    assert rows() == before


@pytest.mark.parametrize("key", ["none", "empty", "cut", "longer", "another's", "another purpose's", "expired"])
def test_an_address_with_a_key_opens_to_no_other_key(clock, acme, umbrella, key):
    assert {address.split("/")[0] for address in SIGNED} == set(acme.signed)
    for kind, url in acme.signed.items():
        bare, name, token = re.split(r"[?=]", url)
        purpose = next(signed for signed in acme.signed if signed not in {kind, "reports"})
        wrong = {
            "none": bare,
            "empty": f"{bare}?{name}=",
            "cut": url[:-1],
            "longer": f"{url}0",
            "another's": f"{bare}?{umbrella.signed[kind].partition('?')[2]}",
            "another purpose's": f"{bare}?{name}={signed_addresses.token(purpose, bare.rpartition('/')[2])}",
            "expired": url if kind == "reports" else bare,
        }[key]
        clock.move_to(timezone.now() + timedelta(days=8 if key == "expired" else 0))
        before = rows()
        for method in METHODS:
            response = ask(Client(), method, wrong, {"Status": "completed"})
            assert response.status_code in {403, 405}, (key, method, wrong)
            assert tells(response, acme, wrong) == []
        assert rows() == before
        assert len(token) > 40


def test_an_address_with_its_own_key_opens(acme):
    for kind, url in acme.signed.items():
        response = ask(Client(), "POST" if kind in {"carrier-events", "twiml"} else "GET", url, {"Status": "completed"})
        # A Passthru applet that names no call of ours is sent the flow's other way.
        expected = {302} if kind == "passthru" else {200, 204}
        assert response.status_code in expected, (kind, told(response))


def admin_values(address: str, acme: Tenant) -> dict[str, str]:
    app, model = [*address.split("/"), "", ""][1:3]
    row = apps.get_model(app, model)._default_manager.first() if app in OUR_APPS else None
    pk = str(row.pk if row else 1)
    return {
        "object_id": pk,
        "id": pk,
        "pk": pk,
        "sid": acme.account.sid,
        "flow_id": acme.account.flows.earliest("pk").flow_id,
        "verb": "pause",
        "name": "hours",
        "content_type_id": "1",
        "app_label": "campaigns",
        "url": "x",
        "rest": "tasks",
        "table": "caller-ids",
        "uidb64": "MQ",
        "token": "forged",
    }


@pytest.mark.parametrize("who", ["nobody", "no staff", "staff without permissions"])
def test_the_admin_shows_and_does_nothing_without_permission(acme, who):
    """This covers the pages of models and our own, for reading and for writing."""
    http = Client(raise_request_exception=False)
    if who != "nobody":
        user = get_user_model().objects.create_user("eve", is_staff=who == "staff without permissions")
        http.force_login(user)
    before = rows()
    for address in ADMINS:
        if address == "admin/logout/":
            continue
        where = filled(address.replace("(?P<url>.*)$", "<url>"), admin_values(address, acme))
        where = re.sub(r"\(\?P<app_label>[^)]*\)/\$", "campaigns/", where)
        for_everybody = address in (INVITED | STAFFS if who == "staff without permissions" else INVITED)
        for method in METHODS:
            response = ask(http, method, where, b"")
            page = (who, method, where, response.status_code)
            names_methods_only = method == "OPTIONS" and not response.content
            assert for_everybody or names_methods_only or response.status_code in {302, 403, 404, 405}, page
            if response.status_code == 302:
                assert response.headers["Location"].startswith("/admin/"), page
            assert tells(response, acme, where) == [], page
    assert rows() == before


def test_public_addresses_tell_nothing_of_any_tenant(acme, client):
    for address in PUBLIC:
        response = client.get(f"/{address}")
        assert response.status_code in {200, 503}
        # "acme" is the account of the examples in the API's description.
        assert [mark for mark in tells(response, acme) if mark != "acme"] == []


def test_the_operators_figures_are_not_for_customers(acme, client, settings):
    settings.METRICS_TOKEN = "the operator's"
    for headers in ({}, acme.api.headers, {"authorization": "Bearer wrong"}):
        response = ask(client, "GET", "/metrics", **headers)
        assert response.status_code == 401
        assert tells(response, acme) == []
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 403
