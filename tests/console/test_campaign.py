"""A campaign's pages: how it goes, its charts, calls, timeline, settings, webhooks and report."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from campaigns import lifecycle
from campaigns.flow_schema import SCHEMA_FILE
from campaigns.models import Campaign
from console import campaign_calls, campaign_charts, campaign_figures, key_meanings
from dialer import hour_tally
from dialer.rehearsal import forecast_campaign
from tests.console.people import sign_in, words
from tests.factories import (
    ACTOR,
    AccountFactory,
    CallAttemptFactory,
    CallFactory,
    CampaignFactory,
    CustomFieldFactory,
    FlowFactory,
    WebhookDeliveryFactory,
)

pytestmark = pytest.mark.django_db

PAGES = (
    *("campaign", "campaign_live", "campaign_calls", "campaign_timeline", "campaign_settings", "campaign_webhooks"),
    *("campaign_report", "call_again"),
)
FLOW: dict[str, Any] = {
    "steps": [
        {"say": "Your fees are due."},
        {
            "gather": {
                "branches": {
                    "1": [{"say": "We send you the link."}],
                    "2": [{"gather": {"branches": {"9": [{"opt_out": True}, {"say": "Goodbye"}]}}}],
                    "3": [{"connect": "+912222222222"}],
                }
            }
        },
    ]
}


@pytest.fixture
def root() -> Client:
    return sign_in("administrator", None, "root")


def get(client: Client, page: str, campaign: Campaign, **query: Any) -> Any:
    return client.get(reverse(f"admin:{page}", args=[campaign.pk]), query)


def ended(campaign: Campaign, outcome: str = "completed", **columns: Any) -> None:
    """Make attempts that ended, and tally them."""
    kind = {"no-answer": "no_answer"}.get(outcome, outcome)
    CallAttemptFactory(call__campaign=campaign, **{kind: True}, **columns)
    hour_tally.correct([campaign.pk])


# Whose it is ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, "campaign_csv"])
def test_a_campaign_of_others_does_not_exist(page):
    stranger = sign_in("administrator", AccountFactory())
    assert get(stranger, page, CampaignFactory(running=True)).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_a_campaign_that_is_being_deleted_does_not_exist(root, page):
    assert get(root, page, CampaignFactory(completed=True, is_purging=True)).status_code == 404


@pytest.mark.parametrize("page", [page for page in PAGES if page != "call_again"])
def test_a_viewer_looks_and_changes_nothing(page):
    campaign = CampaignFactory(paused=True)
    CallFactory(failed=True, campaign=campaign)
    response = get(sign_in("viewer", campaign.account), page, campaign)
    assert response.status_code == 200
    assert "<form" not in response.content.decode().split('id="content"')[-1]


def test_verbs_are_for_operators():
    campaign = CampaignFactory(paused=True)
    resume = reverse("admin:campaign_act", args=[campaign.pk, "resume"])
    assert sign_in("viewer", campaign.account).post(resume).status_code == 403
    assert sign_in("operator", AccountFactory(), "stranger").post(resume).status_code == 404
    assert sign_in("operator", campaign.account, "ravi").get(resume).status_code == 405
    campaign.refresh_from_db()
    assert campaign.status == "paused"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "call_again"])
def test_the_queries_do_not_grow_with_what_is_shown(root, page):
    campaign = CampaignFactory(running=True, flow=None, flow_url="", flow_type="greeting", text="Hello")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert get(root, page, campaign).status_code == 200
        return len(captured)

    def grow() -> None:
        ended(campaign)
        ended(campaign, "busy")
        CallFactory(campaign=campaign)
        WebhookDeliveryFactory(campaign=campaign, account=campaign.account)
        lifecycle.pause(campaign, actor=ACTOR)
        lifecycle.resume(campaign, actor=ACTOR)

    grow()
    one = queries()
    for _ in range(5):
        grow()
    assert queries() == one


# How it goes ---------------------------------------------------------------------------------------------------------


def test_it_says_how_far_it_is_and_why_it_does_not_dial(root):
    campaign = CampaignFactory(paused=True, name="Fees <b>due</b>")
    CallFactory(completed=True, campaign=campaign)
    CallFactory(failed=True, campaign=campaign)
    CallFactory(campaign=campaign)
    page = words(get(root, "campaign", campaign))
    assert "The campaign is paused" in page
    assert "Reached 1 50% of those that ended Not reached 1 Left 1" in page
    assert "Fees &lt;b&gt;due" in get(root, "campaign", campaign).content.decode()


def test_it_looks_ahead_until_it_has_ended(root):
    campaign = CampaignFactory(running=True)
    CallFactory(campaign=campaign)
    assert get(root, "campaign", campaign).context["forecast"] == forecast_campaign(campaign, timezone.now()).summary
    for silent in (CampaignFactory(completed=True), CampaignFactory(is_loading=True)):
        assert get(root, "campaign", silent).context["forecast"] == ""


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ({}, ["Pause", "Delete"]),
        ({"running": True}, ["Pause"]),
        ({"paused": True}, ["Resume", "Complete"]),
        ({"paused_before_start": True}, ["Resume", "Complete", "Delete"]),
        ({"completed": True}, ["Archive"]),
        ({"archived": True}, []),
    ],
)
def test_it_offers_what_its_state_allows(root, state, verbs):
    page = get(root, "campaign", CampaignFactory(**state))
    assert [verb.name.capitalize() for verb in page.context["verbs"]] == verbs


def test_a_verb_without_a_way_back_is_asked_about(root):
    campaign = CampaignFactory(paused=True, name="Fees")
    CallFactory.create_batch(2, campaign=campaign)
    address = reverse("admin:campaign_act", args=[campaign.pk, "complete"])

    page = words(root.post(address))
    assert "Complete “Fees”?" in page
    assert "there is no way to resume. 2 calls end; 0 calls are up and finish." in page
    campaign.refresh_from_db()
    assert campaign.status == "paused"

    page = root.post(address, {"confirmed": "complete"}, follow=True)
    assert "1 campaign completed." in words(page)
    campaign.refresh_from_db()
    assert campaign.status == "completed"


def test_a_verb_that_is_refused_is_told(root):
    page = root.post(reverse("admin:campaign_act", args=[CampaignFactory(completed=True).pk, "resume"]), follow=True)
    assert "can't resume this campaign" in words(page)
    assert root.post(reverse("admin:campaign_act", args=[CampaignFactory().pk, "explode"])).status_code == 404


# Figures -------------------------------------------------------------------------------------------------------------


def test_figures_are_by_hour_attempt_keys_and_length(root):
    campaign = CampaignFactory(running=True, flow__document=FLOW)
    at = datetime(2026, 3, 2, 6, 10, tzinfo=UTC)
    for keys, seconds in (("1", 4), ("1", 20), ("29", 700), ("", 20)):
        ended(campaign, claimed_at=at, digits=keys, duration_seconds=seconds)
    ended(campaign, "busy", claimed_at=at + timedelta(hours=1))
    retried = CallFactory(completed=True, campaign=campaign, attempts_made=2)
    CallAttemptFactory(no_answer=True, call=retried, claimed_at=at)
    CallAttemptFactory(completed=True, call=retried, number=2, claimed_at=at + timedelta(hours=1), duration_seconds=6)
    hour_tally.correct([campaign.pk])

    figures = campaign_figures.of_campaign(campaign)

    assert [(span.label, span.reached, span.attempts - span.reached) for span in figures.spans] == [
        ("2026-03-02 11:00", 4, 1),
        ("2026-03-02 12:00", 1, 1),
    ]
    assert [(one.number, one.attempts, one.reached) for one in figures.tries] == [(1, 6, 4), (2, 1, 1)]
    assert [(one.keys, one.count, one.meaning) for one in figures.pressed] == [
        ("1", 2, "“We send you the link.”"),
        ("29", 1, "is not called again; “Goodbye”"),
    ]
    assert figures.pressed_nothing == 2
    assert {talk.label: talk.count for talk in figures.talks if talk.count} == {
        "under 6 s": 1,
        "6 to 14 s": 1,
        "15 to 29 s": 2,
        "300 s and more": 1,
    }
    assert figures.average_talk == 150
    page = words(get(root, "campaign", campaign))
    assert "1 2 “We send you the link.”" in page


def test_a_long_campaign_is_shown_by_day(monkeypatch):
    monkeypatch.setattr(campaign_figures, "MOST_HOURS", 1)
    campaign = CampaignFactory(running=True)
    for hours in (0, 1, 24):
        ended(campaign, claimed_at=datetime(2026, 3, 2, 6, 10, tzinfo=UTC) + timedelta(hours=hours))
    figures = campaign_figures.of_campaign(campaign)
    assert [(span.label, span.reached) for span in figures.spans] == [("2026-03-02", 2), ("2026-03-03", 1)]


def test_keys_are_told_by_what_follows_them():
    meanings = key_meanings.of_steps(FLOW["steps"])
    assert meanings == {
        "1": "“We send you the link.”",
        "2": "asks for keys",
        "29": "is not called again; “Goodbye”",
        "3": "connects to +912222222222",
    }
    assert key_meanings.said([{"say": {"text": "x" * 200}}, {"hangup": True}]).endswith("…”; hangs up")
    assert key_meanings.said([]) == "nothing"
    steps: list[dict[str, Any]] = [
        {"record_call": True},
        {"record": {}},
        {"refuse": True},
        {"play": "https://x.example/a.wav"},
    ]
    assert key_meanings.said(steps) == (
        "is recorded from here on; is recorded; is not called about this for a while; plays a recording"
    )
    known = set(json.loads(SCHEMA_FILE.read_text())["$defs"]["step"]["properties"])
    assert known == {*key_meanings._WORDS, "say", "connect", "gather"}
    assert key_meanings.of_campaign(Campaign(text="Hello")) == {}


def test_charts_are_files_too(root):
    campaign = CampaignFactory(running=True)
    ended(campaign, digits="<1>")
    for name in campaign_charts.CHARTS:
        response = root.get(reverse("admin:campaign_chart", args=[campaign.pk, name]))
        assert response["Content-Type"] == "image/svg+xml; charset=utf-8"
        assert response["Content-Disposition"].startswith("attachment")
        drawn = ElementTree.fromstring(response.content)
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert all(rect.get("fill") for rect in drawn.iter("{http://www.w3.org/2000/svg}rect"))
    assert root.get(reverse("admin:campaign_chart", args=[campaign.pk, "nothing"])).status_code == 404
    empty = CampaignFactory(running=True)
    assert root.get(reverse("admin:campaign_chart", args=[empty.pk, "outcomes"])).status_code == 404


# Its other tabs ------------------------------------------------------------------------------------------------------


def test_calls_are_listed_by_outcome(root):
    campaign = CampaignFactory(running=True)
    call = CallFactory(completed=True, campaign=campaign, name="Asha")
    CallAttemptFactory(completed=True, call=call, digits="2", duration_seconds=31)
    numbers = {
        "reached": call,
        "busy": CallFactory(failed=True, campaign=campaign, last_outcome="busy"),
        "no-answer": CallFactory(failed=True, campaign=campaign),
        "untried": CallFactory(failed=True, campaign=campaign, attempts_made=0, last_outcome="", was_placed=False),
        "taken-out": CallFactory(failed=True, campaign=campaign, status="canceled", rule="taken-out"),
        "waiting": CallFactory(campaign=campaign),
        "up": CallFactory(in_progress=True, campaign=campaign),
    }
    CallFactory()
    page = words(get(root, "campaign_calls", campaign))
    assert all(one.number in page for one in numbers.values())
    assert "31 s pressed 2" in page
    for outcome, wanted in numbers.items():
        shown = get(root, "campaign_calls", campaign, outcome=outcome).context["calls"]
        assert [one.call for one in shown] == [wanted], outcome


def test_calls_are_paged_by_key(root, monkeypatch):
    monkeypatch.setattr(campaign_calls, "SIZE", 2)
    campaign = CampaignFactory(running=True)
    keys = [call.pk for call in CallFactory.create_batch(5, campaign=campaign)]
    seen, after = [], 0
    while True:
        page = get(root, "campaign_calls", campaign, after=after)
        seen += [one.call.pk for one in page.context["calls"]]
        if not (after := page.context["next"]):
            break
    assert seen == keys


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("campaign_calls", {"outcome": "x"}),
        ("campaign_calls", {"after": "x"}),
        ("campaign_calls", {"after": "9" * 30}),
        ("campaign_webhooks", {"before": "-1"}),
    ],
)
def test_a_made_up_address_is_not_found(root, page, query):
    assert get(root, page, CampaignFactory(), **query).status_code == 404


def test_the_timeline_has_moves_and_deeds_newest_first(root):
    campaign = CampaignFactory(running=True)
    lifecycle.pause(campaign, actor=ACTOR)
    lifecycle.change_callbacks(campaign, actor=ACTOR, status_callback="https://client.example/")
    root.get(reverse("admin:campaign_csv", args=[campaign.pk]))
    happenings = get(root, "campaign_timeline", campaign).context["happenings"]
    assert [(one.what, one.detail) for one in happenings] == [
        ("downloaded the report of by root", "report as csv"),
        ("changed by meera", "status_callback"),
        ("in progress → paused", "paused by meera"),
    ]


def test_settings_leave_out_what_is_empty(root):
    campaign = CampaignFactory(with_retries=True, text="", flow=FlowFactory(flow_id="fees"))
    CustomFieldFactory(campaign=campaign, value="round-7")
    settings = dict(get(root, "campaign_settings", campaign).context["settings"])
    assert settings["Flow"] == "fees"
    assert settings["Retries"] == "up to 2, 5 minutes apart (linear), after busy, no-answer, failed"
    assert settings["Custom field"] == "round-7"
    assert not {"Text", "Lists", "Pace", "Ended", "Rules"} & set(settings)
    assert all(settings.values())


def test_webhooks_are_listed_newest_first(root):
    campaign = CampaignFactory(running=True)
    rows = [WebhookDeliveryFactory(campaign=campaign, account=campaign.account) for _ in range(2)]
    WebhookDeliveryFactory()
    assert get(root, "campaign_webhooks", campaign).context["deliveries"] == rows[::-1]
    assert "no address" in words(get(root, "campaign_webhooks", CampaignFactory()))


# Its report ----------------------------------------------------------------------------------------------------------


def test_the_report_is_downloaded_by_who_may_see_it_and_recorded(root):
    campaign = CampaignFactory(completed=True)
    call = CallFactory(completed=True, campaign=campaign)
    viewer = sign_in("viewer", campaign.account)
    response = get(viewer, "campaign_csv", campaign)
    assert call.number in b"".join(response.streaming_content).decode()
    assert response["Content-Disposition"] == f'attachment; filename="campaign-{campaign.pk.hex}.csv"'
    [entry] = AuditEntry.objects.filter(verb="downloaded")
    assert (entry.actor, entry.account_id) == ("meera", campaign.account_id)
    assert get(viewer, "campaign_csv", campaign, format="docx").status_code == 400


def test_the_page_to_print_has_the_figures(root):
    campaign = CampaignFactory(completed=True, name="Fees")
    ended(campaign)
    ended(campaign, "busy")
    page = words(get(root, "campaign_report", campaign))
    assert "2 people: 1 reached, 1 not reached, 0 left. 2 attempts, 1 of them answered." in page
    assert page.count("SVG") == 3


def test_a_report_from_the_first_pages_is_a_link_away(root):
    campaign = CampaignFactory(running=True)
    address = reverse("admin:campaign_csv", args=[campaign.pk])
    assert address in get(root, "campaign", campaign).content.decode()
    assert reverse("admin:campaign", args=[campaign.pk]) in root.get(reverse("admin:now")).content.decode()


def test_reports_that_are_too_many_at_once_are_refused_by_a_page(root, settings):
    settings.REPORTS_AT_ONCE_PER_ACCOUNT = 1
    campaign = CampaignFactory(completed=True)
    first = get(root, "campaign_csv", campaign)
    refused = get(root, "campaign_csv", campaign)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert "1 reports are being read: come back when one of them is there." in words(refused)
    assert 'class="frame-menu"' in refused.content.decode()
    assert first.streaming
    assert "'format' must be one of" in words(get(root, "campaign_csv", campaign, format="docx"))
