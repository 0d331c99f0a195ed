"""The admin pages of campaigns, calls and flows: what they show, and that every action goes through lifecycle."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from accounts.models import Membership
from campaigns import lifecycle
from campaigns.admin.campaigns import CALLBACKS
from campaigns.lifecycle import VERBS
from campaigns.models import Call, Campaign, Flow
from core.errors import InvalidRequest
from core.ids import wire_id
from tests.factories import (
    ACTOR,
    AccountFactory,
    AuditEntryFactory,
    CallAttemptFactory,
    CallFactory,
    CampaignFactory,
    CampaignHistoryFactory,
    CustomFieldFactory,
    DoNotCallFactory,
    FlowFactory,
)

pytestmark = pytest.mark.django_db

LIST = "admin:campaigns_campaign_changelist"
PAGE = "admin:campaigns_campaign_change"
STATES: tuple[dict[str, bool], ...] = (
    {},
    {"running": True},
    {"paused": True},
    {"paused_before_start": True},
    {"completed": True},
    {"failed": True},
    {"canceled": True},
    {"deleted": True},
    {"archived": True},
)


def _text(response) -> str:
    """Return what a person reads: no tags, single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def _list(client: Client, **query: Any) -> str:
    return _text(client.get(reverse(LIST), query))


def _page(client: Client, campaign: Campaign) -> str:
    return _text(client.get(reverse(PAGE, args=[campaign.pk])))


def _press(client: Client, verb: str, campaign: Campaign, confirmed: bool = True) -> str:
    given = {"confirmed": verb} if confirmed else {}
    return _text(client.post(reverse("admin:campaigns_campaign_act", args=[campaign.pk, verb]), given, follow=True))


def _select(client: Client, verb: str, *campaigns: Campaign, confirmed: bool = True) -> str:
    chosen = {"action": f"{verb}_campaigns", "_selected_action": [campaign.pk for campaign in campaigns]}
    chosen |= {"confirmed": [verb]} if confirmed else {}
    return _text(client.post(reverse(LIST), chosen, follow=True))


# The list ------------------------------------------------------------------------------------------------------------


def test_the_list_shows_state_and_progress(admin_client):
    campaign = CampaignFactory(running=True)
    CallFactory.create_batch(2, campaign=campaign, completed=True)
    CallFactory(campaign=campaign, failed=True)
    CallFactory(campaign=campaign)
    page = _list(admin_client)
    assert "in progress" in page
    assert "3 of 4 · 75 %" in page


def test_the_list_shows_times_by_the_clock_of_each_account(admin_client):
    at = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
    CampaignFactory(running=True, send_at=at)
    CampaignFactory(running=True, send_at=at, account__time_zone="Europe/London")
    page = _list(admin_client)
    assert "2026-03-02 11:30:00 IST" in page
    assert "2026-03-02 06:00:00 GMT" in page


def test_planned_times_are_told_from_past_ones(admin_client):
    CampaignFactory(send_at=datetime(2040, 3, 2, 6, 0, tzinfo=UTC), end_at=datetime(2040, 3, 3, 6, 0, tzinfo=UTC))
    assert "due 2040-03-02 11:30:00 IST by 2040-03-03 11:30:00 IST" in _list(admin_client)


@pytest.mark.parametrize("spelling", ["dashed", "hex", "name", "account"])
def test_a_campaign_is_found_by_id_name_and_account(admin_client, spelling):
    wanted = CampaignFactory(name="Renewals in March")
    CampaignFactory(name="Something else")
    text = {"dashed": wanted.pk, "hex": wanted.pk.hex, "name": "renewals", "account": wanted.account.sid}
    page = _list(admin_client, q=text[spelling])
    assert "Renewals in March" in page
    assert "Something else" not in page


def test_the_list_can_be_narrowed_to_a_state_and_an_account(admin_client):
    wanted = CampaignFactory(name="wanted", running=True)
    CampaignFactory(name="in another state", account=wanted.account)
    CampaignFactory(name="of another account", running=True)
    page = _list(admin_client, status__exact="in-progress", account__id__exact=wanted.account.pk)
    assert "1 campaign " in page
    assert "wanted" in page


# The page of a campaign ----------------------------------------------------------------------------------------------


def test_the_page_shows_what_the_campaign_is_and_how_far_it_has_come(admin_client):
    campaign = CampaignFactory(running=True, with_retries=True)
    CallFactory(campaign=campaign, completed=True)
    CallFactory(campaign=campaign, retrying=True)
    CustomFieldFactory(campaign=campaign, value="round-7")
    page = _page(admin_client, campaign)
    assert "1 of 2 · 50 %" in page
    assert "1 waiting for a retry · 1 completed" in page
    assert "up to 2, 5 minutes apart (linear), after busy, no-answer, failed" in page
    assert "round-7" in page
    assert wire_id(campaign.pk) in page


def test_the_page_shows_the_history_with_the_newest_last(admin_client):
    campaign = CampaignFactory(paused=True)
    CampaignHistoryFactory(subject=campaign, reason="the start has come")
    CampaignHistoryFactory(subject=campaign, from_status="in-progress", to_status="paused", reason="paused by meera")
    page = _page(admin_client, campaign)
    assert page.index("the start has come") < page.index("paused by meera")


def test_the_calls_are_a_link_and_not_five_thousand_rows(admin_client):
    call = CallFactory()
    other = CallFactory()
    page = admin_client.get(reverse(PAGE, args=[call.campaign.pk])).content.decode()
    assert call.number not in page
    (address,) = re.findall(r'href="([^"]+)">The calls of this campaign', page)
    calls = _text(admin_client.get(address))
    assert call.number in calls
    assert other.number not in calls


def test_a_link_to_the_calls_of_a_campaign_that_is_not_there_shows_none(admin_client):
    call = CallFactory()
    for campaign in ("nonsense", "018f00000000700080000000000000aa"):
        page = _text(admin_client.get(reverse("admin:campaigns_call_changelist"), {"campaign": campaign}))
        assert call.number not in page


# Actions -------------------------------------------------------------------------------------------------------------

GOES_THROUGH = [
    ("pause", {"running": True}, "paused"),
    ("pause", {}, "paused"),
    ("resume", {"paused": True}, "in-progress"),
    ("resume", {"paused_before_start": True}, "created"),
    ("complete", {"paused": True}, "completed"),
    ("archive", {"completed": True}, "archived"),
    ("archive", {"failed": True}, "archived"),
    ("archive", {"canceled": True}, "archived"),
    ("delete", {}, "deleted"),
]
REFUSED = [
    ("pause", {"completed": True}, "can't pause this campaign: it is completed, and must be created or in-progress"),
    ("resume", {"running": True}, "can't resume this campaign: it is in-progress, and must be paused for that"),
    ("complete", {"running": True}, "can't complete this campaign: it is in-progress, and must be paused for that"),
    (
        "archive",
        {"paused": True},
        "can't archive this campaign: it is paused, and must be canceled or completed or failed",
    ),
    ("delete", {"paused": True}, "can't delete this campaign: it has started. Pause it, then complete it"),
]


@pytest.mark.parametrize("do", [_press, _select], ids=["button", "list"])
@pytest.mark.parametrize(("verb", "before", "after"), GOES_THROUGH)
def test_an_action_moves_the_campaign_and_says_so(admin_client, do, verb, before, after):
    campaign = CampaignFactory(**before)
    assert f"1 campaign {VERBS[verb].past}." in do(admin_client, verb, campaign)
    assert Campaign.objects.get().status == after
    assert Campaign.objects.get().history.get().to_status == after


@pytest.mark.parametrize("do", [_press, _select], ids=["button", "list"])
@pytest.mark.parametrize(("verb", "before", "sentence"), REFUSED)
def test_an_action_that_is_refused_shows_why_and_changes_nothing(admin_client, do, verb, before, sentence):
    campaign = CampaignFactory(**before)
    assert f"“{campaign.name}”: {sentence}" in do(admin_client, verb, campaign)
    assert Campaign.objects.get().status == campaign.status


def test_one_campaign_that_refuses_does_not_hold_up_the_others(admin_client):
    running, ended = CampaignFactory(running=True), CampaignFactory(completed=True)
    page = _select(admin_client, "pause", ended, running)
    assert "1 campaign paused." in page
    assert f"“{ended.name}”: can't pause this campaign" in page


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
@pytest.mark.parametrize("state", STATES, ids=lambda state: next(iter(state), "created"))
def test_a_button_is_offered_exactly_where_lifecycle_lets_it_through(admin_client, verb, state):
    campaign = CampaignFactory(**state)
    page = admin_client.get(reverse(PAGE, args=[campaign.pk])).content.decode()
    try:
        verb(campaign, actor=ACTOR)
    except InvalidRequest:
        allowed = False
    else:
        allowed = True
    assert (f"/act/{verb.name}/" in page) == allowed


def test_a_campaign_that_was_paused_past_its_end_offers_no_resume(admin_client):
    campaign = CampaignFactory(paused=True, expires_at=timezone.now())
    page = admin_client.get(reverse(PAGE, args=[campaign.pk])).content.decode()
    assert "/act/complete/" in page
    assert "/act/resume/" not in page
    assert "its end has come while it was paused" in _press(admin_client, "resume", campaign)
    assert Campaign.objects.get().status == "paused"


def test_the_log_says_who_did_it(admin_client, admin_user):
    campaign = CampaignFactory(running=True)
    _press(admin_client, "pause", campaign)
    [entry] = AuditEntry.objects.all()
    assert (entry.actor, entry.verb, entry.object_id) == (admin_user.username, "paused", str(campaign.pk))
    assert campaign.history.get().reason == f"paused by {admin_user.username}"
    page = _text(admin_client.get(reverse("admin:campaigns_campaign_history", args=[campaign.pk])))
    assert f"{admin_user.username} paused" in page


def test_the_log_is_in_the_account_s_zone_too(admin_client):
    campaign = CampaignFactory(running=True)
    at = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
    AuditEntryFactory(object_id=str(campaign.pk), account=campaign.account, at=at)
    page = _text(admin_client.get(reverse("admin:campaigns_campaign_history", args=[campaign.pk])))
    assert "Times in Asia/Kolkata" in page
    assert "2026-03-02 11:30:00 IST" in page


def test_an_action_is_a_post_with_a_csrf_token(admin_user):
    campaign = CampaignFactory(running=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    address = reverse("admin:campaigns_campaign_act", args=[campaign.pk, "pause"])
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 403
    assert Campaign.objects.get().status == "in-progress"
    page = client.get(reverse(PAGE, args=[campaign.pk])).content.decode()
    (form,) = re.findall(rf'<form method="post" action="{address}".*?</form>', page, re.DOTALL)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    client.post(address, {"csrfmiddlewaretoken": token[1]})
    assert Campaign.objects.get().status == "paused"


def test_a_person_who_may_only_look_sees_no_buttons_and_can_do_nothing(client, django_user_model):
    campaign = CampaignFactory(running=True)
    user = django_user_model.objects.create_user("reader", is_staff=True)
    Membership.objects.create(user=user, account=campaign.account, role="viewer")
    client.force_login(user)
    page = client.get(reverse(PAGE, args=[campaign.pk])).content.decode()
    assert "/act/" not in page
    assert "_callback" not in "".join(re.findall(r'<input[^>]*name="[^"]*"', page))
    assert client.post(reverse("admin:campaigns_campaign_act", args=[campaign.pk, "pause"])).status_code == 403
    _select(client, "pause", campaign)
    assert Campaign.objects.get().status == "in-progress"


@pytest.mark.parametrize("verb", ["explode", "add"])
def test_an_action_that_does_not_exist_is_not_found(admin_client, verb):
    address = reverse("admin:campaigns_campaign_act", args=[CampaignFactory().pk, verb])
    assert admin_client.post(address).status_code == 404


FINAL = [verb.name for verb in VERBS.values() if verb.consequence]
STATE_FOR = {"complete": {"paused": True}, "archive": {"completed": True}, "delete": {}}


def test_what_has_no_way_back_is_asked_and_nothing_else():
    assert FINAL == ["complete", "archive", "delete"]


@pytest.mark.parametrize("do", [_press, _select], ids=["button", "list"])
@pytest.mark.parametrize("verb", FINAL)
def test_the_server_asks_before_what_has_no_way_back(admin_client, do, verb):
    campaign = CampaignFactory(name="Renewals <b>", **STATE_FOR[verb])
    if verb != "archive":
        CallFactory.create_batch(2, campaign=campaign)
    page = do(admin_client, verb, campaign, confirmed=False)
    assert f"{verb.capitalize()} 1 campaign?" in page
    assert f"“Renewals <b>” of {campaign.account.sid}" in page
    assert f"Calls that are left: {0 if verb == 'archive' else 2}." in page
    assert Campaign.objects.get().status == campaign.status


def test_the_form_of_the_question_does_it_to_the_campaigns_that_it_names(admin_client):
    paused, running = CampaignFactory(paused=True), CampaignFactory(running=True)
    chosen = {"action": "complete_campaigns", "_selected_action": [paused.pk, running.pk]}
    page = admin_client.post(reverse(LIST), chosen)
    assert f"“{running.name}”: it is in-progress, and must be paused for that" in _text(page)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page.content.decode())
    given: dict[str, list[str]] = {}
    for name, value in fields:
        given.setdefault(name, []).append(value)
    assert given["_selected_action"] == [str(paused.pk)]
    assert "1 campaign completed." in _text(admin_client.post(reverse(LIST), given, follow=True))
    assert Campaign.objects.get(pk=running.pk).status == "in-progress"


def test_confirming_one_verb_confirms_no_other(admin_client):
    campaign = CampaignFactory(paused_before_start=True)
    address = reverse("admin:campaigns_campaign_act", args=[campaign.pk, "delete"])
    admin_client.post(address, {"confirmed": "complete"})
    assert Campaign.objects.get().status == "paused"


def test_a_whole_action_has_one_message(admin_client):
    campaigns = [*CampaignFactory.create_batch(2, running=True), *CampaignFactory.create_batch(12, completed=True)]
    chosen = {"action": "pause_campaigns", "_selected_action": [campaign.pk for campaign in campaigns]}
    page = admin_client.post(reverse(LIST), chosen, follow=True)
    [message] = page.context["messages"]
    assert str(message).startswith("2 campaigns paused. “")
    assert str(message).endswith("2 more refused.")


def test_more_campaigns_than_a_person_can_judge_are_refused(admin_client, monkeypatch):
    monkeypatch.setattr("campaigns.admin.verb_actions.MOST_ASKED", 2)
    campaigns = CampaignFactory.create_batch(3, paused=True)
    assert "Nothing was done: select at most 2 campaigns." in _select(admin_client, "complete", *campaigns)
    assert set(Campaign.objects.values_list("status", flat=True)) == {"paused"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("EMI", ["EMI due", "monthly_emi", "Pre-EMI"]),
        ("emi d", ["EMI due"]),
        ("remind", ["Appointment reminders"]),
        ("inders", []),
        ("(a.b)", ["cost (a.b)"]),
        (".*", []),
        ("\\", []),
    ],
)
def test_a_search_finds_the_beginnings_of_words(admin_client, text, names):
    for name in ("Appointment reminders", "EMI due", "monthly_emi", "Pre-EMI", "cost (a.b)"):
        CampaignFactory(name=name)
    found = admin_client.get(reverse(LIST), {"q": text}).context["cl"].result_list
    assert sorted(campaign.name for campaign in found) == sorted(names)


# Editing -------------------------------------------------------------------------------------------------------------


def _fields(client: Client, campaign: Campaign) -> set[str]:
    page = client.get(reverse(PAGE, args=[campaign.pk]))
    return set(page.context["adminform"].form.fields)


def _save(client: Client, campaign: Campaign, **given: str) -> str:
    management = {"history-TOTAL_FORMS": 0, "history-INITIAL_FORMS": 0}
    as_it_is = {name: getattr(campaign, name) for name in ("name", *CALLBACKS)}
    response = client.post(reverse(PAGE, args=[campaign.pk]), as_it_is | management | given, follow=True)
    return _text(response)


def test_before_the_start_the_name_and_the_callbacks_can_be_edited(admin_client):
    campaign = CampaignFactory()
    assert _fields(admin_client, campaign) == {"name", *CALLBACKS}
    _save(admin_client, campaign, name="Renewals", status_callback="https://shop.example/done")
    changed = Campaign.objects.get()
    assert (changed.name, changed.status_callback) == ("Renewals", "https://shop.example/done")


def test_after_the_start_only_the_callbacks_can_be_edited(admin_client):
    campaign = CampaignFactory(running=True)
    assert _fields(admin_client, campaign) == set(CALLBACKS)
    _save(admin_client, campaign, name="Renewals", status="completed", status_callback="https://shop.example/done")
    changed = Campaign.objects.get()
    assert (changed.name, changed.status) == (campaign.name, "in-progress")
    assert changed.status_callback == "https://shop.example/done"


def test_after_the_end_nothing_can_be_edited(admin_client):
    campaign = CampaignFactory(completed=True)
    page = admin_client.get(reverse(PAGE, args=[campaign.pk]))
    assert not page.context["adminform"].form.fields
    assert 'name="_save"' not in page.content.decode()


def test_a_campaign_that_starts_while_its_name_is_being_edited_keeps_the_name_and_says_why(admin_client, monkeypatch):
    campaign = CampaignFactory()
    change = lifecycle.change

    def overtaken(*args, **kwargs):
        now = campaign.send_at + timedelta(seconds=1)
        Campaign.objects.update(status="in-progress", started_at=now)
        return change(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "change", overtaken)
    page = _save(admin_client, campaign, name="Renewals")
    assert "The campaign has started and is in-progress" in page
    assert "was changed successfully" not in page
    assert Campaign.objects.get().name == campaign.name


def test_campaigns_are_neither_made_nor_removed_by_hand(admin_client):
    campaign = CampaignFactory()
    assert admin_client.get(reverse("admin:campaigns_campaign_add")).status_code == 403
    address = reverse("admin:campaigns_campaign_delete", args=[campaign.pk])
    assert admin_client.post(address, {"post": "yes"}).status_code == 403
    assert Campaign.objects.get() == campaign


# Calls ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["+919810012345", "919810012345", "+91 98100-12345", "campaign"])
def test_a_call_is_found_by_its_whole_number_or_its_campaign(admin_client, text):
    wanted = CallFactory(number="+919810012345")
    other = CallFactory(number="+919810012346")
    given = wanted.campaign.pk.hex if text == "campaign" else text
    page = _text(admin_client.get(reverse("admin:campaigns_call_changelist"), {"q": given}))
    assert wanted.number in page
    assert other.number not in page


def test_the_list_of_calls_says_what_came_of_each_and_what_comes_next(admin_client):
    CallFactory(retrying=True, next_attempt_at=datetime(2026, 3, 2, 6, 0, tzinfo=UTC))
    CallFactory(failed=True, end_reason="no retry is left")
    page = _text(admin_client.get(reverse("admin:campaigns_call_changelist")))
    assert "waiting for a retry 1 busy 2026-03-02 11:30:00 IST" in page
    assert "no retry is left" in page


def test_the_list_of_calls_can_be_narrowed_to_a_state_and_an_outcome(admin_client):
    wanted = CallFactory(failed=True, last_outcome="busy")
    CallFactory(failed=True, last_outcome="no-answer")
    CallFactory()
    query = {"status__exact": "failed", "last_outcome__exact": "busy"}
    page = _text(admin_client.get(reverse("admin:campaigns_call_changelist"), query))
    assert wanted.number in page
    assert page.count("+9198") == 1
    assert Call.objects.count() == 3


# Flows ---------------------------------------------------------------------------------------------------------------


def test_a_flow_is_shown_indented_and_saved_as_it_was_edited(admin_client):
    flow = FlowFactory(document={"steps": [{"say": "नमस्ते"}]})
    address = reverse("admin:campaigns_flow_change", args=[flow.pk])
    page = html.unescape(admin_client.get(address).content.decode())
    assert '{\n  "steps": [\n    {\n      "say": "नमस्ते"\n    }\n  ]\n}' in page
    admin_client.post(address, {"document": json.dumps({"steps": [{"say": "Bye."}]})})
    assert Flow.objects.get().document == {"steps": [{"say": "Bye."}]}


def test_a_flow_that_rings_people_is_saved_with_a_warning_where_rules_hold(admin_client):
    flow = FlowFactory(account__number_gap_seconds=60)
    given = {"document": json.dumps({"steps": [{"connect": "+912222222222"}]})}
    saved = admin_client.post(reverse("admin:campaigns_flow_change", args=[flow.pk]), given, follow=True)
    assert "The flow connects to +912222222222, and rules hold" in saved.content.decode()


def test_a_flow_of_an_open_campaign_is_not_saved_with_a_step_that_its_carrier_can_t_do(admin_client):
    campaign = CampaignFactory(running=True, caller_id__trunk__carrier="sandbox")
    address = reverse("admin:campaigns_flow_change", args=[campaign.flow_id])
    page = admin_client.post(address, {"document": json.dumps({"steps": [{"record": {}}]})})
    assert page.context["adminform"].form.errors["document"] == [
        "The flow has the step record, which a carrier of an open campaign that uses it can't do."
    ]
    assert Flow.objects.get().document == campaign.flow.document


@pytest.mark.parametrize("document", ['{"steps": [{"shout": "Hello"}]}', "{not JSON"])
def test_a_flow_that_the_schema_refuses_is_not_saved_and_stays_in_the_form(admin_client, document):
    flow = FlowFactory()
    page = admin_client.post(reverse("admin:campaigns_flow_change", args=[flow.pk]), {"document": document})
    assert page.context["errors"]
    assert re.search(r"shout|not JSON", html.unescape(page.content.decode()))
    assert Flow.objects.get().document == flow.document


def test_a_flow_that_campaigns_use_cannot_be_deleted_and_keeps_its_id(admin_client):
    flow = CampaignFactory().flow
    address = reverse("admin:campaigns_flow_change", args=[flow.pk])
    admin_client.post(
        address, {"flow_id": "other", "account": AccountFactory().pk, "document": '{"steps": [{"hangup": true}]}'}
    )
    changed = Flow.objects.get()
    assert (changed.flow_id, changed.account) == (flow.flow_id, flow.account)
    assert changed.document == {"steps": [{"hangup": True}]}
    assert admin_client.post(reverse("admin:campaigns_flow_delete", args=[flow.pk]), {"post": "yes"}).status_code == 403


# People taken out, and called again -----------------------------------------------------------------------------------


def _take_out(client: Client, *calls: Call, confirmed: bool = True, **given: str) -> str:
    chosen = {"action": "take_out_calls", "_selected_action": [call.pk for call in calls], **given}
    chosen |= {"confirmed": "take_out_calls"} if confirmed else {}
    return _text(client.post(reverse("admin:campaigns_call_changelist"), chosen, follow=True))


def test_calls_are_taken_out_of_their_campaigns_after_a_question(admin_client):
    waiting, retrying = CallFactory(campaign__running=True), CallFactory(retrying=True)
    under_way, over = CallFactory(in_progress=True), CallFactory(completed=True)
    page = _take_out(admin_client, waiting, retrying, under_way, over, confirmed=False)
    assert "Take 4 calls out?" in page
    assert waiting.number in page
    assert "have ended already, and stay as they are: 1." in page
    assert set(Call.objects.values_list("status", flat=True)) == {"created", "retrying", "in-progress", "completed"}
    told = _take_out(admin_client, waiting, retrying, under_way, over, reason="have paid")
    assert "2 calls ended. 1 under way go on, and are not tried again. 1 had ended before." in told
    assert "Only the do-not-call list keeps other campaigns from calling people." in told
    ended = dict(Call.objects.values_list("pk", "status"))
    assert [ended[call.pk] for call in (waiting, retrying, under_way)] == ["canceled", "canceled", "in-progress"]
    entry = AuditEntry.objects.get(object_id=str(waiting.campaign_id))
    assert (entry.actor_name, entry.what) == ("admin", "took out 1 calls that waited and 0 under way: have paid")


def test_calls_of_a_campaign_that_has_ended_stay_and_the_message_says_why(admin_client):
    gone, waiting = CallFactory(canceled=True), CallFactory(campaign__running=True)
    page = _take_out(admin_client, gone, waiting)
    assert "1 call ended." in page
    others = "other campaigns may, unless a number is on the do-not-call list"
    assert f"“{gone.campaign.name}”: the campaign is completed: it calls nobody any more; {others}." in page


def test_more_calls_than_a_person_can_judge_are_refused(admin_client, monkeypatch):
    monkeypatch.setattr("campaigns.admin.calls.MOST_CAMPAIGNS", 1)
    calls = CallFactory.create_batch(2, campaign__running=True)
    assert "Nothing was done: select at most 500 calls of at most 1 campaigns." in _take_out(admin_client, *calls)
    assert set(Call.objects.values_list("status", flat=True)) == {"created"}


def _again(client: Client, campaign: Campaign, **given: Any) -> str:
    return _text(client.post(reverse("admin:campaigns_campaign_again", args=[campaign.pk]), given, follow=True))


@pytest.fixture
def ended():
    campaign = CampaignFactory(completed=True, name="renewals")
    for outcome in ("busy", "no-answer", "no-answer"):
        CallFactory(campaign=campaign, failed=True, last_outcome=outcome)
    CallFactory(campaign=campaign, canceled=True)
    answered = CallFactory(campaign=campaign, completed=True)
    CallAttemptFactory(call=answered, completed=True, digits="2")
    return campaign


def test_people_of_an_ended_campaign_are_counted_and_then_called_again(admin_client, ended):
    listed = ended.calls.filter(last_outcome="no-answer").first()
    DoNotCallFactory(account=ended.account, number=listed.number)
    assert "Call again" in _page(admin_client, ended)
    chosen = {"who": ["no-answer", "untried"], "pressed": "2, 3", "name": "second round"}
    page = _again(admin_client, ended, **chosen)
    assert "3 to call, 1 on the do-not-call list." in page
    assert not Campaign.objects.filter(parent=ended).exists()
    page = _again(admin_client, ended, **chosen, confirmed="again", send_at="2040-03-02T10:30")
    assert "“second round” was created: it calls people of “renewals” again." in page
    child = Campaign.objects.get(parent=ended)
    assert (child.calls.count(), child.again) == (3, {"who": ["no-answer", "untried"], "pressed": ["2", "3"]})
    assert child.send_at == datetime(2040, 3, 2, 5, tzinfo=UTC), "by the account's clock"
    entry = AuditEntry.objects.get(object_id=str(child.pk))
    assert (entry.actor_name, entry.verb) == ("admin", "created")
    assert entry.what == "again of renewals: no-answer, untried, pressed 2, pressed 3"


def test_a_form_sent_twice_makes_one_campaign(admin_client, ended):
    for _ in range(2):
        page = _again(admin_client, ended, who=["busy"], confirmed="again")
    assert "nobody of them is left to call" in page
    assert Campaign.objects.filter(parent=ended).count() == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, ""),
        ({"name": "nobody"}, "Say whom to call again"),
        ({"pressed": "two"}, "two is not a row of keys"),
        ({"who": ["failed"]}, "nobody of them is left to call"),
        ({"who": ["answered"]}, "is not one of the available choices"),
        ({"who": ["busy"], "send_at": "soon"}, "Enter a valid date/time."),
    ],
)
def test_a_form_that_says_nothing_sensible_makes_none(admin_client, ended, given, problem):
    assert problem in _again(admin_client, ended, **given, confirmed="again")
    assert not Campaign.objects.filter(parent=ended).exists()


def test_where_nobody_is_left_there_is_nothing_to_confirm(admin_client, ended):
    page = _again(admin_client, ended, who=["failed"])
    assert "0 to call." in page
    address = reverse("admin:campaigns_campaign_again", args=[ended.pk])
    assert "confirmed" not in admin_client.post(address, {"who": ["failed"]}).content.decode()
    assert "confirmed" in admin_client.post(address, {"who": ["busy"]}).content.decode()


def test_of_a_large_campaign_it_is_said_how_many_they_are_at_most(admin_client, ended, monkeypatch):
    monkeypatch.setattr("campaigns.admin.again_page.MOST_COUNTED", 4)
    assert "At most 4 to call." in _again(admin_client, ended, who=["busy"])


def test_people_of_a_campaign_that_runs_or_never_started_are_not_offered(admin_client):
    for campaign in (CampaignFactory(running=True), CampaignFactory(deleted=True)):
        assert "Call again" not in _page(admin_client, campaign)
