"""Rule sets of a campaign: added to those of its account, waived by an operator for a reason that is kept."""

import pytest
from django.core.management import CommandError, call_command

from accounts.audit_entry import AuditEntry
from accounts.calling_rules import rules_of
from campaigns import waivers
from campaigns.models import Campaign
from core.errors import InvalidRequest
from tests.factories import ACTOR, AccountFactory, CampaignFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    return CampaignFactory(account=AccountFactory(rules=["us", "us-states"]), rules=["us-debt"])


def names(campaign: Campaign) -> tuple[str, ...]:
    campaign.refresh_from_db()
    return rules_of(campaign.account, campaign).names


def test_those_of_the_account_and_of_the_campaign_hold_together(campaign):
    assert names(campaign) == ("us", "us-states", "us-debt")


def test_an_operator_waives_a_set_and_who_and_why_is_kept(campaign):
    waivers.waive(campaign, ["us-states"], because="counsel, 12 Nov: no state applies", actor=ACTOR)
    assert names(campaign) == ("us", "us-debt")
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.object_id) == (ACTOR.name, str(campaign.pk))
    assert entry.what == "waived rules: us-states; because counsel, 12 Nov: no state applies"


def test_a_waiver_is_taken_back(campaign):
    waivers.waive(campaign, ["us-states"], because="counsel", actor=ACTOR)
    waivers.waive(campaign, [], because="", actor=ACTOR)
    assert names(campaign) == ("us", "us-states", "us-debt")
    assert campaign.waived_because == ""


@pytest.mark.parametrize(
    ("waived", "because", "says"),
    [
        (["us-states"], " ", "say why"),
        (["us-debt"], "counsel", "us-debt is not one of them"),
        (["usa"], "counsel", "there is no rule set usa"),
    ],
)
def test_a_waiver_without_a_reason_or_of_another_set_is_refused(campaign, waived, because, says):
    with pytest.raises(InvalidRequest, match=says):
        waivers.waive(campaign, waived, because=because, actor=ACTOR)
    assert not AuditEntry.objects.exists()


def test_nothing_is_waived_for_a_campaign_that_has_ended():
    ended = CampaignFactory(completed=True, account=AccountFactory(rules=["us"]))
    with pytest.raises(InvalidRequest, match="completed"):
        waivers.waive(ended, ["us"], because="counsel", actor=ACTOR)


def test_the_command_waives_and_says_what_is_wrong(campaign, capsys):
    call_command("waive_rules", campaign.pk.hex, "us", because="counsel")
    assert capsys.readouterr().out == "waived: us\n"
    with pytest.raises(CommandError, match="say why"):
        call_command("waive_rules", campaign.pk.hex, "us")
    with pytest.raises(CommandError, match="there is no campaign"):
        call_command("waive_rules", "f" * 32, "us", because="counsel")
