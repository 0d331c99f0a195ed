"""Every page of the admin, over all apps, so a new model is covered; and the pages of the dialer."""

import html
import re
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from factory.django import DjangoModelFactory

from accounts.installation import Installation
from accounts.models import Membership, Route
from accounts.second_factor_devices import AuthenticatorApp, RecoveryCodes
from accounts.secret_key_check import SecretKeyCheck
from campaigns.models import CallTally
from console.models import CallingStop, StoppedCampaign
from core.admin_kit import CappedPaginator
from dialer.models import CallAttempt, HourTally, UsageChange
from tests import factories
from tests.factories import (
    AttemptHistoryFactory,
    CallAttemptFactory,
    CallFactory,
    CallHistoryFactory,
    CampaignFactory,
    CampaignHistoryFactory,
    CarrierEventFactory,
    TrunkFactory,
    TrunkHealthFactory,
)

pytestmark = pytest.mark.django_db

OUR_APPS = ("accounts", "contacts", "campaigns", "dialer", "webhooks", "api", "sipgateway", "console")
# A tally is kept by the database, and shown with its campaign. Memberships are on the page of their person, further
# trunks on that of their caller ID. Second factors are secrets, and a command resets them. Stops of calling, and what
# they have paused, are on the console's page of them. `manage.py ready` tells of the one row of the installation.
NOT_SHOWN = {
    *(AuthenticatorApp, CallingStop, CallTally, HourTally, Installation, Membership, RecoveryCodes, Route),
    SecretKeyCheck,
    StoppedCampaign,
    UsageChange,
}
OUR_MODELS = [model for app in OUR_APPS for model in apps.get_app_config(app).get_models() if model not in NOT_SHOWN]
FACTORIES = {
    factory._meta.model: factory
    for factory in vars(factories).values()
    if isinstance(factory, type) and issubclass(factory, DjangoModelFactory) and not factory._meta.abstract
}
WRITTEN_BY_THE_PROGRAM = (
    "campaigns.call",
    "campaigns.customfield",
    "campaigns.campaignhistory",
    "campaigns.callhistory",
    "contacts.contact",
    "contacts.contactlist",
    "contacts.listentry",
    "contacts.csvupload",
    "contacts.csvpiece",
    "contacts.rejectedrow",
    "dialer.callattempt",
    "dialer.attempthistory",
    "dialer.carrierevent",
    "dialer.trunkhealth",
    "sipgateway.gateway",
    "sipgateway.sipcall",
    "webhooks.webhookdelivery",
    "webhooks.webhooktry",
    "api.idempotentrequest",
    "accounts.auditentry",
)


def _address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def _text(response) -> str:
    """What a person reads: no tags, single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def _rows(model: type[Model], count: int) -> list[Model]:
    assert model in FACTORIES, f"write a factory of {model.__name__} in tests/factories.py"
    return FACTORIES[model].create_batch(count)


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label_lower)
def test_every_model_is_in_the_admin(model):
    assert admin.site.is_registered(model)


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label_lower)
def test_every_list_and_every_row_opens(admin_client, model):
    row = _rows(model, 2)[0]
    assert admin_client.get(_address(model, "changelist")).status_code == 200
    assert admin_client.get(_address(model, "change", row.pk)).status_code == 200
    assert admin_client.get(_address(model, "history", row.pk)).status_code == 200


@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model._meta.label_lower)
def test_every_list_opens_when_it_is_empty_and_every_search_that_finds_nothing(admin_client, model):
    assert admin_client.get(_address(model, "changelist")).status_code == 200
    assert admin_client.get(_address(model, "changelist"), {"q": "nothing like it"}).status_code == 200


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label_lower)
def test_a_longer_list_takes_no_more_queries(admin_client, model):
    address = _address(model, "changelist")
    _rows(model, 2)
    admin_client.get(address)  # fills the caches of content types and sessions
    of_two = _queries(admin_client, address)
    _rows(model, 4)
    assert _queries(admin_client, address) == of_two


def test_a_longer_history_takes_no_more_queries(admin_client):
    attempt = CallAttemptFactory(placing=True)
    rows = (
        (CampaignHistoryFactory, attempt.campaign),
        (CallHistoryFactory, attempt.call),
        (AttemptHistoryFactory, attempt),
    )
    for history, subject in rows:
        address = _address(type(subject), "change", subject.pk)
        history.create_batch(2, subject=subject)
        admin_client.get(address)
        of_two = _queries(admin_client, address)
        history.create_batch(4, subject=subject)
        assert _queries(admin_client, address) == of_two


def test_more_attempts_of_a_call_take_no_more_queries(admin_client):
    call = CallFactory(campaign__running=True)
    address = _address(type(call), "change", call.pk)
    CallAttemptFactory.create_batch(2, call=call, canceled=True)
    admin_client.get(address)
    of_two = _queries(admin_client, address)
    CallAttemptFactory.create_batch(4, call=call, canceled=True)
    assert _queries(admin_client, address) == of_two


@pytest.mark.parametrize("label", WRITTEN_BY_THE_PROGRAM)
def test_what_the_program_wrote_cannot_be_added_changed_or_deleted(admin_client, label):
    model = apps.get_model(label)
    row = _rows(model, 1)[0]
    before = model.objects.filter(pk=row.pk).values().get()
    assert admin_client.get(_address(model, "add")).status_code == 403
    assert admin_client.post(_address(model, "change", row.pk), {"reason": "forged"}).status_code == 403
    assert admin_client.post(_address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).values().get() == before


def test_no_list_offers_django_s_own_delete(admin_client):
    """It would load, show and remove whatever hangs on the rows: histories, calls, attempts."""
    for model in OUR_MODELS:
        _rows(model, 1)
        assert "delete_selected" not in admin_client.get(_address(model, "changelist")).content.decode()


def test_a_large_table_is_counted_up_to_a_cap_only(admin_client, monkeypatch):
    monkeypatch.setattr(CappedPaginator, "CAP", 3)
    campaign = CampaignFactory()
    CallFactory.create_batch(3, campaign=campaign)
    address = _address(type(campaign.calls.get(number=campaign.calls.first().number)), "changelist")
    assert "more than" not in admin_client.get(address).content.decode()
    CallFactory(campaign=campaign)
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(address).content.decode()
    assert " ".join(page.split()).count("more than 3 calls") == 1
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 4" in sql for sql in counts)


def test_a_call_shows_its_attempts_in_the_account_s_zone(admin_client):
    attempt = CallAttemptFactory(
        completed=True,
        call__campaign__account__time_zone="Europe/London",
        claimed_at=datetime(2026, 7, 1, 9, tzinfo=UTC),
    )
    page = _text(admin_client.get(_address(type(attempt.call), "change", attempt.call.pk)))
    assert "2026-07-01 10:00:00 BST" in page
    assert str(attempt.pk) in page


def test_a_campaign_and_a_call_say_why_they_are_not_dialled_with_the_trunk_s_error(admin_client):
    call = CallFactory(campaign__running=True)
    health = TrunkHealthFactory(trunk=call.campaign.caller_id.trunk, down=True, last_error="<503>")
    why = f"the trunk of {call.campaign.caller_id.number} is down since "
    campaign = _text(admin_client.get(_address(type(call.campaign), "change", call.campaign.pk)))
    assert f"Why it dials, or does not: {why}" in campaign
    assert f"trunk-down: {health.trunk.name}: <503>" in campaign
    assert f"not dialled yet: {why}" in _text(admin_client.get(_address(type(call), "change", call.pk)))


def test_more_calls_of_a_campaign_take_no_more_queries(admin_client):
    attempt = CallAttemptFactory(in_progress=True)
    address = _address(type(attempt.campaign), "change", attempt.campaign.pk)
    admin_client.get(address)
    of_one = _queries(admin_client, address)
    for call in CallFactory.create_batch(5, campaign=attempt.campaign, in_progress=True):
        CallAttemptFactory(call=call, in_progress=True)
    CallFactory.create_batch(5, campaign=attempt.campaign)
    assert _queries(admin_client, address) == of_one


@pytest.mark.parametrize("spelling", ["id", "hex", "carrier", "number"])
def test_an_attempt_is_found_by_its_id_the_carriers_id_or_the_number(admin_client, spelling):
    wanted, other = CallAttemptFactory.create_batch(2, busy=True)
    text = {"id": str(wanted.pk), "hex": wanted.pk.hex, "carrier": wanted.carrier_ref, "number": wanted.call.number}
    page = admin_client.get(_address(CallAttempt, "changelist"), {"q": text[spelling]}).content.decode()
    assert wanted.call.number in page
    assert other.call.number not in page


def test_an_event_shows_its_payload_for_reading_and_its_time_in_the_account_s_zone(admin_client, time_machine):
    time_machine.move_to(datetime(2026, 3, 2, 6, 0, tzinfo=UTC), tick=False)
    event = CarrierEventFactory(payload={"Status": "<busy>"})
    page = admin_client.get(_address(type(event), "change", event.pk)).content.decode()
    assert "{\n  &quot;Status&quot;: &quot;&lt;busy&gt;&quot;\n}" in page
    assert "2026-03-02 11:30:00 IST" in _text(admin_client.get(_address(type(event), "changelist")))


def test_an_event_for_an_attempt_that_does_not_exist_is_shown_all_the_same(admin_client):
    event = CarrierEventFactory(attempt_id="018f0000-0000-7000-8000-000000000000", attempt=None)
    page = admin_client.get(_address(type(event), "changelist")).content.decode()
    assert "018f0000-0000-7000-8000-000000000000 (there is no such attempt)" in page
    assert "UTC" in page


def test_a_trunk_that_is_down_says_so_and_why(admin_client):
    health = TrunkHealthFactory(down=True)
    page = admin_client.get(_address(type(health), "changelist")).content.decode()
    assert "badge-failed" in page
    assert health.last_error in page


def test_a_trunk_s_token_is_in_no_page_of_the_admin(admin_client):
    trunk = TrunkFactory(exotel=True, api_token="the-carriers-token")
    attempt = CallAttemptFactory(completed=True, call__campaign__caller_id__trunk=trunk)
    TrunkHealthFactory(trunk=trunk, down=True)
    rows = [trunk, attempt, attempt.call, attempt.campaign, attempt.campaign.caller_id, trunk.health]
    for row in rows:
        for address in (_address(type(row), "changelist"), _address(type(row), "change", row.pk)):
            assert "the-carriers-token" not in admin_client.get(address).content.decode()
