"""What rules for numbers count is not deleted before it counts no more, however short the setting is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.calling_rules import FOREVER, presets
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
        ({"number_caps": ["3 attempts in 24 hours", "9 attempts in 30 days"]}, [], days(30)),
        ({"number_gap_seconds": 5 * 86_400}, [], days(5)),
        ({"rules": ["us-debt"]}, [], days(7)),
        ({}, ["fr"], days(60)),
        ({"number_caps": ["3 attempts in 1 day"]}, [], days(2)),
        ({}, [], days(2)),
    ],
)
def test_a_campaign_stays_as_long_as_a_rule_counts_its_attempts(rig, ended, of_account, of_campaign, kept):
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


def test_an_account_that_calls_nobody_any_more_remembers_nobody(rig, ended):
    ended(AccountFactory(rules=["ae", "fr"], is_active=False), name="of one that has left", wish="refusal")
    assert left_after(rig, days(3)) == set()


def test_only_a_refusal_counts_for_ever():
    """What is remembered for ever is looked for in the wishes of attempts."""
    forever = {
        what
        for preset in presets().values()
        for rule in preset.rules
        for what, time in rule.quiet_after
        if time == FOREVER
    }
    assert forever == {"refusal"}
