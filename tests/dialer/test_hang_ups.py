"""Calls that are up are ended because a person says so."""

import pytest

from dialer import hang_ups
from tests.factories import CallAttemptFactory, CampaignFactory, TrunkFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def hung_up(monkeypatch):
    """Return the ids at carriers that were hung up."""
    asked: list[str] = []

    def hang_up(_, refs):
        asked.extend(refs)
        return []

    monkeypatch.setattr("dialer.carriers.simulated.SimulatedCarrier.hang_up", hang_up)
    return asked


def up(campaign, ref, **columns):
    return CallAttemptFactory(in_progress=True, call__campaign=campaign, carrier_ref=ref, **columns)


def test_the_calls_of_the_campaigns_that_are_up_are_ended_and_no_others(hung_up):
    campaign, other = CampaignFactory(running=True), CampaignFactory(running=True)
    up(campaign, "a"), up(campaign, "b"), up(other, "c")
    CallAttemptFactory(completed=True, call__campaign=campaign, carrier_ref="d")
    assert hang_ups.hang_up([campaign.pk]) == {campaign.pk: 2}
    assert sorted(hung_up) == ["a", "b"]


def test_a_call_whose_id_may_be_another_s_goes_on(hung_up):
    campaign = CampaignFactory(running=True)
    up(campaign, "guess", ref_is_guess=True)
    up(campaign, "again", ref_is_repeated=True)
    up(campaign, "")
    first = up(campaign, "twice")
    up(campaign, "twice", ref_is_repeated=True, carrier_account=first.carrier_account)
    assert hang_ups.hang_up([campaign.pk]) == {}
    assert hung_up == []


def test_a_carrier_that_can_t_be_asked_keeps_no_other_from_it(hung_up):
    campaign = CampaignFactory(running=True)
    up(campaign, "a", trunk=TrunkFactory(carrier="gone"))
    up(campaign, "b")
    assert hang_ups.hang_up([campaign.pk]) == {campaign.pk: 1}
    assert hung_up == ["b"]


def test_calls_over_a_carrier_that_ends_none_take_no_place(hung_up, monkeypatch):
    monkeypatch.setattr(hang_ups, "MOST", 2)
    campaign = CampaignFactory(running=True)
    exotel = TrunkFactory(exotel=True)
    for ref in "abc":
        up(campaign, ref, trunk=exotel)
    up(campaign, "d")
    assert hang_ups.hang_up([campaign.pk]) == {campaign.pk: 1}
    assert hung_up == ["d"]


def test_a_hung_up_call_ends_and_its_retry_waits_for_the_campaign(rig):
    campaign = rig.campaign(1, retries=1)
    rig.carrier.script[campaign.calls.get().number] = ["in-progress"]
    rig.tick()
    if not hang_ups.hang_up([campaign.pk]):
        pytest.fail("no call was up")
    rig.tick()
    assert campaign.calls.get().status == "completed"
