"""The list of campaigns: its tabs, filters and pages, and verbs for many of them at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from campaigns import lifecycle
from campaigns.models import Campaign
from console import bulk, campaign_list
from core.ids import wire_id
from tests.console.people import sign_in, words
from tests.factories import (
    ACTOR,
    AccountFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    TrunkHealthFactory,
)

pytestmark = pytest.mark.django_db

STATES: dict[str, tuple[str, ...]] = {
    "running": ("running",),
    "scheduled": ("created",),
    "paused": ("paused", "paused_before_start"),
    "ended": ("completed", "failed", "canceled"),
    "archive": ("archived", "deleted"),
}


def show(client: Client, **query: Any) -> Any:
    return client.get(reverse("admin:campaigns"), query)


def names(response: Any) -> list[str]:
    return [row.campaign.name for row in response.context["found"].rows]


def made(name: str, state: str = "running", **columns: Any) -> Campaign:
    return CampaignFactory(name=name, **({} if state == "created" else {state: True}), **columns)


@pytest.fixture
def root() -> Client:
    return sign_in("administrator", None, "root")


# Tabs, rows, filters -------------------------------------------------------------------------------------------------


def test_every_state_is_in_one_tab(root):
    for states in STATES.values():
        for state in states:
            made(state, state)
    for tab, states in STATES.items():
        assert sorted(names(show(root, tab=tab))) == sorted(states)
    every = {status for tab in campaign_list.TABS.values() for status in tab.statuses}
    assert every == set(Campaign.Status)


def test_the_first_tab_is_that_of_running_campaigns_and_open_ones_are_counted(root):
    for name, state in (("a", "running"), ("b", "running"), ("c", "paused"), ("d", "completed")):
        made(name, state)
    page = show(root)
    assert sorted(names(page)) == ["a", "b"]
    assert {name: count for name, count in page.context["counts"].items() if count} == {"running": 2, "paused": 1}


def test_a_row_says_how_far_it_is_and_what_it_does(root):
    campaign = made("Fees <b>due</b>")
    CallFactory(completed=True, campaign=campaign)
    CallFactory.create_batch(3, failed=True, campaign=campaign)
    CallFactory(campaign=campaign)
    page = show(root)
    assert "Fees &lt;b&gt;due" in page.content.decode()
    assert "1 reached, 3 not, 1 left 25% dialing" in words(page)


def test_what_holds_a_campaign_back_is_said(root):
    running, later, held = made("running"), made("later", "created"), made("held", "paused_before_start")
    now = timezone.now()
    for campaign in (running, later, held):
        CallFactory(campaign=campaign)
    TrunkHealthFactory(trunk=running.caller_id.trunk, down_since=now, resting_until=now + timedelta(minutes=1))
    lifecycle.resume(held, actor=ACTOR)
    lifecycle.pause(held, actor=ACTOR)
    assert "is down since" in words(show(root))
    assert "the campaign starts" in words(show(root, tab="scheduled"))
    assert "paused by meera" in words(show(root, tab="paused"))


@pytest.mark.parametrize(("reached", "told"), [(False, "ended, nobody reached"), (True, "completed")])
def test_an_end_that_reached_nobody_does_not_look_like_success(root, reached, told):
    campaign = made("Fees", "completed")
    CallFactory(campaign=campaign, **({"completed": True} if reached else {"failed": True}))
    page = show(root, tab="ended").content.decode()
    assert f'badge-{"completed" if reached else "paused"}">{told}<' in page


def test_those_that_reached_nobody_can_be_asked_for(root):
    CallFactory(completed=True, campaign=made("reached", "completed"))
    CallFactory(failed=True, campaign=made("missed", "completed"))
    made("empty", "completed")
    assert sorted(names(show(root, tab="ended", nobody="on"))) == ["empty", "missed"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [("emi", ["EMI due"]), ("rem app", ["Appointment reminders"]), ("inders", []), ("due emi", ["EMI due"]), ("(", [])],
)
def test_words_are_found_by_their_beginning(root, asked, found):
    made("EMI due")
    made("Appointment reminders")
    assert names(show(root, q=asked)) == found


def test_a_campaign_is_found_by_its_id_and_by_the_account(root):
    first, _ = made("first"), made("second")
    assert names(show(root, q=wire_id(first.pk))) == ["first"]
    assert names(show(root, q=first.account.sid)) == ["first"]
    assert names(show(root, account=first.account.sid)) == ["first"]
    assert names(show(root, caller_id=first.caller_id.pk)) == ["first"]


def test_days_are_those_of_the_account(root):
    at = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)  # the 3rd in India
    made("India", "created", send_at=at)
    made("London", "created", send_at=at, account__time_zone="Europe/London")
    assert names(show(root, tab="scheduled", since="2026-03-03")) == ["India"]
    assert names(show(root, tab="scheduled", until="2026-03-02")) == ["London"]
    assert len(names(show(root, tab="scheduled", since="2026-03-02", until="2026-03-03"))) == 2


@pytest.mark.parametrize(
    "query",
    [{"tab": "nothing"}, {"since": "soon"}, {"account": "nobody"}, {"caller_id": "x"}, {"after": "x"}],
)
def test_what_can_not_be_read_is_said_and_shows_nothing(root, query):
    made("a")
    page = show(root, **query)
    assert (page.status_code, names(page)) == (400, [])
    assert "errorlist" in page.content.decode()


@pytest.mark.parametrize("tab", ["running", "scheduled", "ended"])
def test_pages_follow_one_another_without_a_gap(root, monkeypatch, tab):
    monkeypatch.setattr(campaign_list, "SIZE", 2)
    at = timezone.now().replace(microsecond=7)
    states = {"running": "running", "scheduled": "created", "ended": "completed"}
    for number in range(5):
        moments = {"started_at": at, "send_at": at} if tab == "running" else {}
        moments |= {"ended_at": at} if tab == "ended" else {}
        made(str(number), states[tab], **moments)
    seen: list[str] = []
    page = show(root, tab=tab)
    while page.context["next"]:
        seen += names(page)
        page = root.get(reverse("admin:campaigns") + page.context["next"])
    seen += names(page)
    assert sorted(seen) == list("01234")


def test_the_newest_are_first(root):
    now = timezone.now()
    for name, hours in (("old", 3), ("new", 1), ("middle", 2)):
        made(name, "completed", ended_at=now - timedelta(hours=hours))
    assert names(show(root, tab="ended")) == ["new", "middle", "old"]


@pytest.mark.parametrize("tab", STATES)
def test_the_queries_do_not_grow_with_the_campaigns(root, tab):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert show(root, tab=tab).status_code == 200
        return len(captured)

    state = STATES[tab][0]
    made("first", state)
    one = queries()
    for number in range(10):
        CallFactory(campaign=made(str(number), state)) if tab != "archive" else made(str(number), state)
    assert queries() == one


# Whose rows ----------------------------------------------------------------------------------------------------------


def test_people_see_their_own_accounts_alone(root):
    own, others = made("own"), made("others")
    viewer = sign_in("viewer", own.account)
    page = show(viewer)
    assert names(page) == ["own"]
    assert others.account.sid not in page.content.decode()
    assert others.caller_id.number not in page.content.decode()
    assert 'name="verb"' not in page.content.decode()
    assert show(viewer, account=others.account.sid).status_code == 400
    assert show(viewer, caller_id=others.caller_id.pk).status_code == 400


# Verbs ---------------------------------------------------------------------------------------------------------------


def act(client: Client, verb: str, *campaigns: Campaign, **given: Any) -> Any:
    chosen = {"verb": verb, "campaigns": [campaign.pk.hex for campaign in campaigns]} | given
    return client.post(reverse("admin:campaigns_act"), chosen, follow=True)


def states() -> dict[str, str]:
    return dict(Campaign.objects.values_list("name", "status"))


def test_a_verb_is_asked_about_with_names_and_what_becomes_of_the_calls(root):
    first, second = made("Fees"), made("Renewals")
    CallFactory.create_batch(3, campaign=first)
    CallAttemptFactory(in_progress=True, call__campaign=second)

    page = words(act(root, "pause", first, second))

    assert "Pause 2 campaigns?" in page
    assert "3 calls wait until the campaigns are resumed; 1 call is up and finishes." in page
    assert f"“Fees” of {first.account.sid}, in progress: 3 calls left" in page
    assert set(states().values()) == {"in-progress"}, "a question changes nothing"


def test_a_confirmed_verb_is_done_and_told_once(root):
    page = act(root, "pause", made("Fees"), made("Renewals"), confirmed="pause", tab="running")
    assert page.redirect_chain[0][0].endswith("?tab=running")
    assert [str(message) for message in page.context["messages"]] == ["2 campaigns paused."]
    assert set(states().values()) == {"paused"}
    assert AuditEntry.objects.filter(verb="paused", actor_name="root").count() == 2


def test_what_can_not_be_done_is_told_and_holds_up_no_other(root):
    ready, ended = made("ready", "paused"), made("ended", "completed")
    asked = words(act(root, "complete", ready, ended))
    assert "Complete 1 campaign?" in asked
    assert "“ended” of" in asked
    assert "must be paused for that" in asked

    told = words(act(root, "complete", ready, ended, confirmed="complete"))

    assert "1 campaign completed. “ended”: can't complete this campaign: it is completed, and must be paused" in told
    assert states() == {"ready": "completed", "ended": "completed"}


def test_a_question_whose_campaigns_all_refuse_has_no_button(root):
    page = act(root, "resume", made("running"))
    assert "None of these campaigns allows it." in words(page)
    assert 'name="confirmed"' not in page.content.decode()


def test_all_that_are_listed_are_those_that_the_filters_leave(root, monkeypatch):
    monkeypatch.setattr(campaign_list, "SIZE", 1)
    for name in ("Fees one", "Fees two", "Renewals"):
        made(name)
    page = act(root, "pause", all="1", q="fees", tab="running")
    assert "Pause 2 campaigns?" in words(page)
    keys = page.context["keys"]
    act(root, "pause", campaigns=keys, confirmed="pause", tab="running")
    assert states() == {"Fees one": "paused", "Fees two": "paused", "Renewals": "in-progress"}


@pytest.mark.parametrize("given", [{"verb": "explode"}, {"campaigns": "x"}, {"campaigns": "0" * 32}])
def test_what_does_not_exist_is_not_found(root, given):
    campaign = made("a")
    given = {"verb": "pause", "campaigns": campaign.pk.hex, "confirmed": "pause"} | given
    assert root.post(reverse("admin:campaigns_act"), given).status_code == 404
    assert states() == {"a": "in-progress"}


def test_nothing_chosen_and_too_many_are_said(root, monkeypatch):
    assert "choose campaigns first" in words(act(root, "pause"))
    monkeypatch.setattr(bulk, "MOST", 1)
    assert "choose at most 1" in words(act(root, "pause", made("a"), made("b"), confirmed="pause"))
    assert "choose at most 1" in words(act(root, "pause", all="1", confirmed="pause"))
    assert set(states().values()) == {"in-progress"}


def test_nobody_acts_on_campaigns_of_others():
    own, others = made("own"), made("others")
    operator = sign_in("operator", own.account)
    given = {"verb": "pause", "campaigns": f"{own.pk.hex},{others.pk.hex}", "confirmed": "pause"}
    assert operator.post(reverse("admin:campaigns_act"), given).status_code == 404
    assert "Pause 1 campaign?" in words(act(operator, "pause", all="1"))
    assert set(states().values()) == {"in-progress"}


def test_a_viewer_acts_on_nothing():
    campaign = made("own")
    viewer = sign_in("viewer", campaign.account)
    other = AccountFactory()
    both = sign_in("operator", other, "ravi")
    both_user = both.session["_auth_user_id"]
    campaign.account.memberships.create(user_id=both_user, role="viewer")
    given = {"verb": "pause", "campaigns": campaign.pk.hex, "confirmed": "pause"}
    for client in (viewer, both):
        assert client.post(reverse("admin:campaigns_act"), given).status_code == 403
    assert client.get(reverse("admin:campaigns_act")).status_code == 405
    assert states() == {"own": "in-progress"}


def test_a_pause_of_many_takes_as_many_statements_as_one(root):
    def statements(number: int) -> int:
        account = AccountFactory()
        caller_id = CallerIdFactory(account=account)
        campaigns = CampaignFactory.create_batch(number, account=account, caller_id=caller_id, running=True)
        with CaptureQueriesContext(connection) as captured:
            page = act(root, "pause", *campaigns, confirmed="pause", account=account.sid)
        assert [str(message) for message in page.context["messages"]] == [
            f"{number} campaign{'' if number == 1 else 's'} paused."
        ]
        return len(captured)

    assert statements(1) == statements(30)


def test_a_link_does_not_answer_the_question_in_advance(root):
    made("a")
    page = show(root, confirmed="pause", verb="pause", all="1").content.decode()
    assert 'name="confirmed"' not in page
    assert 'value="1" checked' not in page


def test_filters_of_many_accounts_are_typed(root, monkeypatch):
    monkeypatch.setattr(campaign_list, "MOST_OFFERED", 2)
    campaigns = [made(f"campaign {number}") for number in range(3)]
    page = show(root).content.decode()
    assert page.count("<option") == 3, "all caller IDs, and the first two"
    assert 'name="account" placeholder="its SID"' in page.replace('maxlength="200" ', "")
    found = show(root, account=campaigns[2].account.sid)
    assert names(found) == ["campaign 2"]
    assert str(campaigns[2].caller_id.number) in found.content.decode().split("<tbody>")[0]
    assert show(root, account="nobody").status_code == 400
