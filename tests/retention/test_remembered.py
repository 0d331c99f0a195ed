"""What rules for numbers count is not deleted before it counts no more, however short the setting is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Account
from campaigns.models import Campaign
from retention import campaigns_due, purge
from tests.conftest import START
from tests.factories import AccountFactory, CallAttemptFactory, CampaignFactory
from tests.retention.conftest import days


@pytest.fixture(autouse=True)
def two_days(settings):
    settings.CAMPAIGNS_KEPT_DAYS = 2


@pytest.fixture
def ended(rig):
    """Make campaigns that ended when the clock began, with an attempt; `wish` is what its callee asked for."""

    def make(account, wish="", **columns):
        made = CampaignFactory(account=account, completed=True, ended_at=START, **columns)
        CallAttemptFactory(call__campaign=made, call__completed=True, completed=True, wish=wish)
        return made

    return make


def left_after(rig, time: timedelta) -> set[str]:
    rig.clock.move_to(START + time)
    list(purge.slices(campaigns_due.end_before(timezone.now())))
    return set(Campaign.objects.values_list("name", flat=True))


@pytest.mark.parametrize(
    ("of_account", "of_campaign", "kept"),
    [
        ({"number_caps": ["3 attempts in 24 hours", "9 attempts in 30 days"]}, [], days(31)),
        ({"number_gap_seconds": 5 * 86_400}, [], days(6)),
        ({"rules": ["us-debt"]}, [], days(8)),
        ({}, ["fr"], days(61)),
        ({"number_caps": ["3 attempts in 12 hours"]}, [], days(2)),
        ({}, [], days(2)),
    ],
)
def test_a_campaign_stays_as_long_as_a_rule_counts_its_attempts(rig, ended, of_account, of_campaign, kept):
    """A day longer, as a call may outlive its campaign."""
    account = AccountFactory(**of_account)
    ended(account, name="old")
    # Another one of the account is asked the rules that count.
    CampaignFactory(account=account, name="next", rules=of_campaign)
    ended(AccountFactory(), name="another account's")
    left = left_after(rig, kept - timedelta(seconds=1))
    assert left == {"old", "next"} | ({"another account's"} if kept == days(2) else set())
    assert left_after(rig, kept + timedelta(seconds=1)) == {"next"}


def test_where_a_refusal_counts_for_ever_it_is_never_forgotten(rig, ended):
    account = AccountFactory(rules=["ae"])
    ended(account, name="refused", wish="refusal")
    ended(account, name="opted out", wish="opt-out")
    ended(account, name="answered")
    assert left_after(rig, days(8)) == {"refused", "opted out"}
    assert left_after(rig, days(5000)) == {"refused", "opted out"}


def test_an_account_that_is_out_of_service_may_come_back_and_remembers(rig, ended):
    account = AccountFactory(rules=["ae"], is_active=False)
    ended(account, name="refused", wish="refusal")
    ended(account, name="answered")
    assert left_after(rig, days(400)) == {"refused"}
    list(purge.slices(campaigns_due.end_before(timezone.now()), account=AccountFactory(is_active=False)))
    assert set(Campaign.objects.values_list("name", flat=True)) == {"refused"}
    list(purge.slices(campaigns_due.end_before(timezone.now()), account=account))
    assert not Campaign.objects.exists()


@pytest.mark.parametrize("rules", [{"number_caps": ["1 attempt in forever"]}, {"rules": ["of-another-version"]}])
def test_what_counts_every_call_for_ever_forgets_no_campaign(rig, ended, rules):
    account = AccountFactory(number_caps=rules.get("number_caps", []))
    Account.objects.filter(pk=account.pk).update(**rules)
    ended(account, name="answered")
    assert left_after(rig, days(5000)) == {"answered"}
