"""Each thing that the console changes leaves an entry that names the person. It goes by the registry of addresses."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.audit_entry import AuditEntry
from campaigns.models import Campaign
from console.models import CallingStop
from console.new_campaign import form as forms
from tests.console.test_walk import PATTERNS, addresses
from tests.database_writes import AUDIT, written_tables
from tests.factories import (
    AccountFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    DoNotCallFactory,
    FlowFactory,
    TrunkFactory,
)

pytestmark = pytest.mark.django_db

NUMBER = "+919810077777"


def _resumed(client: Any) -> tuple[list[Any], dict[str, Any]]:
    CampaignFactory(running=True)
    client.post(reverse("admin:stop_calling"))
    return [CallingStop.objects.get().pk], {}


def _stopped(_: Any) -> tuple[list[Any], dict[str, Any]]:
    CampaignFactory(running=True)
    return [], {}


def _page(**fields: Any) -> Any:
    """Return what the page "New campaign" sends."""

    def made(_: Any) -> tuple[list[Any], dict[str, Any]]:
        line = CallerIdFactory(account__sid="acme", trunk__carrier="sandbox")
        fresh = forms.fresh()
        words = {"numbers": NUMBER, "text": "Hello", "caller_id": line.number, "count": "1", "do": "create"}
        return ["acme"], {**fresh.texts, **fresh.several, **words, **fields}

    return made


def _flow(*more: str, **fields: Any) -> Any:
    def made(_: Any) -> tuple[list[Any], dict[str, Any]]:
        line = CallerIdFactory(account__sid="acme", trunk__carrier="sandbox")
        FlowFactory(account=line.account, flow_id="fees")
        document = '{"steps": [{"say": "Once more."}]}'
        return ["acme", *more], {"document": document, "flow_id": "new", "do": "save", "number": NUMBER, **fields}

    return made


def _file(**fields: Any) -> Any:
    def made(_: Any) -> tuple[list[Any], dict[str, Any]]:
        file = SimpleUploadedFile("parents.csv", f"number\n{NUMBER}\n".encode())
        return [AccountFactory().sid], {"file": file, "list_name": "parents", **fields}

    return made


def _running() -> Campaign:
    campaign: Campaign = CampaignFactory(running=True)
    return campaign


def _missed() -> Campaign:
    """Have a campaign with somebody to call again."""
    campaign: Campaign = CallFactory(failed=True, last_outcome="busy").campaign
    return campaign


# By address: what must stand for it to change something, the arguments of its address, and the form.
CHANGES: dict[str, Any] = {
    "stop_calling": _stopped,
    "resume_calling": _resumed,
    "campaigns_act": lambda _: ([], {"verb": "pause", "confirmed": "pause", "campaigns": _running().pk.hex}),
    "campaign_act": lambda _: ([_running().pk, "pause"], {}),
    "call_again": lambda _: ([_missed().pk], {"who": "busy"}),
    "never_call": lambda _: ([], {"account": AccountFactory().sid, "number": NUMBER}),
    "do_not_call_add": lambda _: ([], {"account": AccountFactory().sid, "numbers": NUMBER}),
    "do_not_call_upload": lambda _: (
        [],
        {"account": AccountFactory().sid, "file": SimpleUploadedFile("dnc.csv", f"number\n{NUMBER}\n".encode())},
    ),
    "do_not_call_remove": lambda _: ([], {"entry": DoNotCallFactory().pk, "reason": "asked for calls again"}),
    "new_campaign_of": _page(),
    "upload_for_campaign": _file(),
    "upload_list": _file(),
    "set_up_new_flow": _flow(),
    "set_up_flow": _flow("fees"),
    "set_up_ring_flow": _flow("fees"),
    "system_test_trunk": lambda _: ([TrunkFactory().pk], {}),
}
# Writes nothing of ours, however it is posted to.
CHANGES_NOTHING: set[str] = {"new_campaign_preview", "set_up_flow_preview"}


def test_the_walk_knows_every_address_that_takes_a_form(admin_client, monkeypatch):
    monkeypatch.setattr("console.views.system.trunk_check.check", lambda _trunk: iter(()))
    posted = {
        pattern.name
        for pattern in PATTERNS
        for address in addresses(pattern, [AccountFactory(), CampaignFactory()])[:1]
        if admin_client.post(address).status_code != 405
    }
    assert posted == set(CHANGES) | CHANGES_NOTHING


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_recorded(admin_client, name, monkeypatch):
    monkeypatch.setattr("console.views.system.trunk_check.check", lambda _trunk: iter(()))
    args, form = CHANGES[name](admin_client)
    last = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    with written_tables() as tables:
        response = admin_client.post(reverse(f"admin:{name}", args=args), form)
    assert response.status_code in {200, 302}
    assert AUDIT in tables, tables
    entries = AuditEntry.objects.filter(pk__gt=last)
    assert entries
    assert {entry.actor for entry in entries} == {"admin"}
