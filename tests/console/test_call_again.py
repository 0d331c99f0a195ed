"""Call again: whom, how many, and the campaign that it makes."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.audit_entry import AuditEntry
from campaigns.models import Call, Campaign
from console import call_again
from dialer import hour_tally
from tests.console.people import sign_in, words
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, DoNotCallFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    """Have a campaign with one person of each kind, and three that were busy, of whom one is on the do-not-call list.

    Another one of these was taken out.
    """
    made: Campaign = CampaignFactory(completed=True, name="Fees")
    for outcome in ("no-answer", "busy", "busy", "failed"):
        CallFactory(failed=True, campaign=made, last_outcome=outcome)
    CallFactory(failed=True, campaign=made, last_outcome="busy", status="canceled", rule="taken-out")
    CallFactory(canceled=True, campaign=made)
    for keys in ("1", ""):
        CallAttemptFactory(completed=True, call=CallFactory(completed=True, campaign=made), digits=keys)
    listed = Call.objects.filter(last_outcome="busy").first()
    assert listed
    DoNotCallFactory(account=made.account, number=listed.number)
    hour_tally.correct([made.pk])
    return made


def show(client: Client, campaign: Campaign, **query: Any) -> Any:
    return client.get(reverse("admin:call_again", args=[campaign.pk]), query)


def send(client: Client, campaign: Campaign, **given: Any) -> Any:
    return client.post(reverse("admin:call_again", args=[campaign.pk]), given, follow=True)


@pytest.fixture
def operator(campaign) -> Client:
    return sign_in("operator", campaign.account)


def test_each_choice_says_how_many_it_has(operator, campaign):
    page = show(operator, campaign)
    assert [(tick.name, tick.count, tick.is_ticked) for tick in page.context["ticks"]] == [
        ("no-answer", 1, True),
        ("busy", 3, True),
        ("failed", 1, True),
        ("untried", 1, True),
        ("pressed-1", 1, False),
    ]
    assert "4 to call, 1 on the do-not-call list, 1 taken out of the campaign" in words(page)


def test_ticks_are_counted_without_calling_anybody(operator, campaign):
    page = send(operator, campaign, who=["busy", "pressed-1"], count="1")
    assert "2 to call" in words(page)
    assert [tick.name for tick in page.context["ticks"] if tick.is_ticked] == ["busy", "pressed-1"]
    assert Campaign.objects.count() == 1


def test_a_campaign_of_their_own_calls_them_and_both_are_linked(operator, campaign):
    page = send(operator, campaign, who=["no-answer", "busy"], name="Fees once more")
    child = Campaign.objects.get(parent=campaign)
    assert page.redirect_chain[-1][0] == reverse("admin:campaign", args=[child.pk])
    assert (child.name, child.calls.count()) == ("Fees once more", 2)
    assert "calls people of Fees again: no-answer, busy" in words(page)
    parent = words(operator.get(reverse("admin:campaign", args=[campaign.pk])))
    assert "called again by Fees once more" in parent
    assert AuditEntry.objects.filter(verb="created", actor_name="meera", object_id=str(child.pk)).exists()


def test_without_a_name_it_has_that_of_its_parent(operator, campaign):
    send(operator, campaign, who=["failed"], name="  ")
    assert Campaign.objects.get(parent=campaign).name == "Fees (again)"


@pytest.mark.parametrize("who", [[], ["nonsense"], ["pressed-"], ["pressed-x"], ["pressed-7"]])
def test_nobody_to_call_is_said(operator, campaign, who):
    page = words(send(operator, campaign, who=who))
    assert "Nothing was done" in page
    assert Campaign.objects.count() == 1


def test_a_campaign_whose_people_were_all_reached_has_no_form(operator, campaign):
    other = CampaignFactory(completed=True, account=campaign.account, caller_id=campaign.caller_id)
    CallFactory(completed=True, campaign=other)
    page = show(operator, other)
    assert "Nobody of this campaign is left to call again." in words(page)


def test_a_campaign_whose_calls_are_being_ended_is_not_called_again_yet(operator, campaign):
    Campaign.objects.update(is_ending=True)
    assert "try again in a minute" in words(show(operator, campaign))
    assert "try again in a minute" in words(send(operator, campaign, who=["busy"]))
    assert Campaign.objects.count() == 1


def test_only_operators_call_again(campaign):
    viewer = sign_in("viewer", campaign.account)
    assert show(viewer, campaign).status_code == 403
    assert send(viewer, campaign, who=["busy"]).status_code == 403
    assert "Call again" not in words(viewer.get(reverse("admin:campaign", args=[campaign.pk])))
    assert Campaign.objects.count() == 1


def test_words_of_the_form_are_read_back():
    assert call_again.selection(["busy", "pressed-2", "pressed-2", "x"]).as_json() == {
        "who": ["busy"],
        "pressed": ["2"],
    }
