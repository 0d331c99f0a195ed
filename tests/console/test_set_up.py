"""The page "Set up": what an account has and lacks, for whom, and its flows."""

import json
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from accounts.calling_rules import presets
from campaigns.models import Campaign, Flow
from console import set_up
from tests.console.people import sign_in, text
from tests.factories import (
    AccountFactory,
    ApiKeyFactory,
    CallerIdFactory,
    CampaignFactory,
    ContactListFactory,
    CsvUploadFactory,
    FlowFactory,
    ListEntryFactory,
    TrunkFactory,
    TrunkHealthFactory,
)

pytestmark = pytest.mark.django_db

FLOW = {"steps": [{"gather": {"branches": {"1": [{"say": "Thank you."}]}}}]}


@pytest.fixture
def account(clock):
    return AccountFactory(sid="acme")


@pytest.fixture
def meera(account):
    return sign_in("administrator", account)


def look(account):
    return set_up.look(account, timezone.now())


def steps(account):
    return {step.name: (step.is_done, step.what) for step in look(account).steps}


def page(client, name="set_up_account", *more):
    return client.get(reverse(f"admin:{name}", args=["acme", *more]))


def test_the_checklist_leads_from_an_empty_account_to_its_first_campaign(account):
    assert [done for done, _ in steps(account).values()] == [False, True, False, False, False]
    CallerIdFactory(account=account)
    ApiKeyFactory(account=account)
    ListEntryFactory(contact_list=ContactListFactory(account=account))
    assert [done for done, _ in steps(account).values()] == [True, True, True, True, False]
    CampaignFactory(account=account)
    assert look(account).is_complete


def test_what_is_there_and_does_not_work_does_not_count(account):
    line = CallerIdFactory(account=account)
    TrunkHealthFactory(trunk=line.trunk, down_since=timezone.now(), resting_until=timezone.now() + timedelta(minutes=5))
    ApiKeyFactory(account=account, revoked_at=timezone.now() - timedelta(minutes=1))
    ContactListFactory(account=account)
    account.holidays_of, account.weekly_hours = [], ""
    found = steps(account)
    assert found["Caller ID"] == (False, "the trunk is down; tried again at 11:35 IST")
    assert not found["API key"][0]
    assert not found["A first list"][0]


def test_hours_are_shown_for_the_coming_week_with_its_holidays(account):
    account.weekly_hours = "Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-24:00"
    account.closed_on = [date(2026, 3, 4)]
    found = look(account)
    assert [(day.name, day.hours) for day in found.week] == [
        ("Mon", "10:00 to 13:00, 14:00 to 20:00"),
        ("Tue", "10:00 to 13:00, 14:00 to 20:00"),
        ("Wed", ""),
        ("Thu", "10:00 to 13:00, 14:00 to 20:00"),
        ("Fri", "10:00 to 13:00, 14:00 to 20:00"),
        ("Sat", "10:00 to 24:00"),
        ("Sun", ""),
    ]
    assert found.closed == [date(2026, 3, 4)]


@pytest.mark.parametrize("name", list(presets()))
def test_every_rule_set_is_told_in_words(account, name):
    account.rules = [name]
    [found] = look(account).rules
    assert found.title == presets()[name].title
    demands = [rule for rule in presets()[name].rules if rule.hours or rule.caps or rule.quiet_after]
    assert len(found.said) >= bool(demands)


def test_a_rule_set_that_this_version_lacks_is_said(account):
    account.rules = ["gone"]
    assert "nobody is called" in look(account).rules[0].said[0]


def test_lists_lead_to_their_rejected_rows_and_entries(account, meera, clock):
    chosen = ContactListFactory(account=account, name="parents")
    ListEntryFactory(contact_list=chosen)
    CsvUploadFactory(account=account, contact_list=chosen, completed=True, rows_rejected=0, rows_loaded=3)
    clock.shift(timedelta(minutes=1))
    upload = CsvUploadFactory(account=account, contact_list=chosen, completed=True)
    for link in (
        f"{reverse('admin:contacts_listentry_changelist')}?contact_list__id__exact={chosen.pk}",
        f"{reverse('admin:contacts_rejectedrow_changelist')}?upload__id__exact={upload.pk}",
    ):
        assert link in page(meera).content.decode()
        assert meera.get(link).status_code == 200


def test_admin_pages_open_with_the_account_filled_in(account, meera):
    assert f"{reverse('admin:accounts_apikey_add')}?account={account.pk}" in text(page(meera))
    form = meera.get(f"{reverse('admin:accounts_apikey_add')}?account={account.pk}").context["adminform"].form
    assert str(form["account"].value()) == str(account.pk)


def test_a_viewer_looks_only(account):
    FlowFactory(account=account, flow_id="fees")
    CallerIdFactory(account=account)
    asha = sign_in("viewer", account, "asha")
    shown = text(page(asha))
    for offer in ("Upload", "Make a key", "Write a flow", "Add a caller ID", "Make a first campaign", "list_name"):
        assert offer not in shown
    assert "readonly" in text(page(asha, "set_up_flow", "fees"))
    assert page(asha, "set_up_new_flow").status_code == 403
    for name in ("set_up_flow", "set_up_ring_flow", "set_up_new_flow", "set_up_flow_preview", "upload_list"):
        more = ["fees"] if name in {"set_up_flow", "set_up_ring_flow"} else []
        assert asha.post(reverse(f"admin:{name}", args=["acme", *more]), {"document": "{}"}).status_code == 403


def test_an_operator_uploads_and_writes_no_flow(account):
    ravi = sign_in("operator", account, "ravi")
    shown = text(page(ravi))
    assert "Upload a file" in shown
    assert "Write a flow" not in shown
    assert page(ravi, "set_up_new_flow").status_code == 403


def test_an_account_of_others_does_not_exist(meera):
    FlowFactory(account__sid="umbrella", flow_id="fees")
    for name, more in (("set_up_account", ()), ("set_up_new_flow", ()), ("set_up_flow", ("fees",))):
        for sid in ("umbrella", "nobody"):
            assert meera.get(reverse(f"admin:{name}", args=[sid, *more])).status_code == 404
    for name, more in (("set_up_ring_flow", ("fees",)), ("set_up_flow_preview", ()), ("upload_list", ())):
        assert meera.post(reverse(f"admin:{name}", args=["umbrella", *more])).status_code == 404
    assert page(meera, "set_up_flow", "fees").status_code == 404


def test_trunks_and_errors_of_carriers_are_the_servers(account, meera):
    line = CallerIdFactory(account=account, trunk=TrunkFactory(name="secret-trunk"))
    TrunkHealthFactory(
        trunk=line.trunk,
        down_since=timezone.now(),
        resting_until=timezone.now() + timedelta(minutes=5),
        last_error="secret-error",
    )
    shown = text(page(meera))
    assert "the trunk is down" in shown
    assert "secret" not in shown


def test_somebody_with_one_account_is_there_at_once_and_others_choose(meera):
    assert "Set up acme" in text(meera.get(reverse("admin:set_up")))
    AccountFactory(sid="umbrella")
    shown = text(sign_in("viewer", None, "root").get(reverse("admin:set_up")))
    assert reverse("admin:set_up_account", args=["umbrella"]) in shown


def test_the_queries_do_not_grow_with_the_rows(account, meera):
    def queries():
        with CaptureQueriesContext(connection) as found:
            page(meera)
        return len(found)

    def more(count):
        CallerIdFactory.create_batch(count, account=account)
        ApiKeyFactory.create_batch(count, account=account)
        FlowFactory.create_batch(count, account=account)
        for one in ContactListFactory.create_batch(count, account=account):
            CsvUploadFactory(account=account, contact_list=one, completed=True)

    more(1)
    queries()
    few = queries()
    more(5)
    assert queries() == few


# Flows ----------------------------------------------------------------------------------------------------------------


def write(client, document, flow_id="fees", *, name="set_up_new_flow", do="save", **fields):
    given = document if isinstance(document, str) else json.dumps(document)
    more = [flow_id] if name == "set_up_flow" else []
    sent = {"document": given, "flow_id": flow_id, "do": do, **fields}
    return client.post(reverse(f"admin:{name}", args=["acme", *more]), sent)


def test_a_flow_is_written_and_changed(account, meera):
    assert write(meera, FLOW).url == reverse("admin:set_up_flow", args=["acme", "fees"])
    flow = Flow.objects.get()
    assert (flow.account, flow.flow_id, flow.document) == (account, "fees", FLOW)
    changed = {"steps": [{"say": "Hello"}]}
    write(meera, changed, name="set_up_flow")
    write(meera, changed, name="set_up_flow")
    flow.refresh_from_db()
    assert flow.document == changed
    entries = AuditEntry.objects.filter(object_kind="campaigns.flow").order_by("pk")
    assert [(entry.verb, entry.what) for entry in entries] == [("created", ""), ("changed", "Document")]


def test_a_flow_that_rings_people_is_stored_with_a_warning_where_rules_hold(account, meera):
    account.number_gap_seconds = 60
    account.save()
    page = meera.get(write(meera, {"steps": [{"connect": "+912222222222"}]}).url).content.decode()
    assert "The flow connects to +912222222222, and rules hold" in page


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{"steps": [}', "line 1, column 12"),
        ('{"steps": []}', "flow.steps"),
        ('{"steps": [{"say": "a"}, {"gather": {"branches": {"x": []}}}]}', "flow.steps[1].gather.branches"),
        ('{"steps": [{"say": "a"}], "steps": [{"say": "b"}]}', "steps"),
        ('{"steps": [{"say": "a\\u0000"}]}', ""),
        ("[" * 100_000, "deep"),
        ("", "line 1"),
        ("[]", "flow"),
    ],
)
def test_what_is_wrong_with_a_flow_is_told_with_its_place(meera, document, says):
    refused = write(meera, document)
    assert refused.status_code == 400
    assert refused.context["errors"]["document"]
    assert says in refused.context["errors"]["document"]
    assert not Flow.objects.exists()
    shown = meera.post(reverse("admin:set_up_flow_preview", args=["acme"]), {"document": document})
    assert shown.context["errors"] == refused.context["errors"]


def test_a_flow_of_an_open_campaign_is_not_stored_with_a_step_that_its_carrier_can_t_do(account, meera):
    flow = FlowFactory(account=account, flow_id="fees", document=FLOW)
    CampaignFactory(account=account, flow=flow, running=True, caller_id__trunk__carrier="sandbox")
    refused = write(meera, {"steps": [{"record": {}}]}, name="set_up_flow")
    assert "The flow has the step record, which a carrier of an open campaign" in refused.context["errors"]["document"]
    assert Flow.objects.get().document == FLOW
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("flow_id", ["", "a b", "a/b", "x" * 65, "taken"])
def test_an_id_that_can_t_be_used_is_told_at_its_field(account, meera, flow_id):
    FlowFactory(account=account, flow_id="taken", document=FLOW)
    refused = write(meera, {"steps": [{"say": "Hello"}]}, flow_id)
    assert refused.context["errors"]["flow_id"]
    assert Flow.objects.get().document == FLOW
    assert not AuditEntry.objects.exists()


def test_to_draw_is_not_to_save(meera):
    shown = write(meera, FLOW, do="preview")
    assert shown.status_code == 200
    assert "Key 1" in text(shown)
    assert not Flow.objects.exists()


def test_a_page_says_who_will_hear_a_change(account, meera):
    flow = FlowFactory(account=account, flow_id="fees")
    CampaignFactory(account=account, flow=flow, running=True)
    CampaignFactory(account=account, flow=flow, completed=True)
    assert "1 campaign that has not ended uses it" in text(page(meera, "set_up_flow", "fees"))


def test_a_phone_of_the_sandbox_rings(account, meera):
    FlowFactory(account=account, flow_id="fees")
    address = reverse("admin:set_up_ring_flow", args=["acme", "fees"])
    CallerIdFactory(account=account)
    assert "sandbox phone" not in text(page(meera, "set_up_flow", "fees"))
    assert (
        meera.post(reverse("admin:set_up_ring_flow", args=["acme", "fees"]), {"number": "9810012345"}).status_code
        == 404
    )
    CallerIdFactory(account=account, trunk__carrier="sandbox")
    key = page(meera, "set_up_flow", "fees").context["key"]
    for number in ("9810012345", "9810012345"):
        meera.post(address, {"number": number, "key": key})
    campaign = Campaign.objects.get(flow__flow_id="fees")
    assert (campaign.account, campaign.calls.get().number) == (account, "+919810012345")
    told = meera.post(
        reverse("admin:set_up_ring_flow", args=["acme", "fees"]), {"number": "12", "key": "k"}, follow=True
    )
    assert "12 is not a valid number" in text(told)
