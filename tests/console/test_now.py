"""The figures of "Now"."""

from datetime import datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Trunk
from campaigns.models import Campaign, Outcome
from console import now as console_now
from dialer.models import CarrierEvent, HourTally
from tests.factories import (
    AccountFactory,
    CallAttemptFactory,
    CallFactory,
    CampaignFactory,
    CampaignHistoryFactory,
    CarrierEventFactory,
    TrunkHealthFactory,
    WebhookDeliveryFactory,
)

pytestmark = pytest.mark.django_db


def look(accounts=None, now=None, **options):
    return console_now.look(accounts, now or timezone.now(), **options)


def test_a_campaign_is_shown_in_three_parts():
    campaign = CampaignFactory(running=True)
    CallFactory(completed=True, campaign=campaign)
    CallFactory(failed=True, campaign=campaign)
    CallFactory.create_batch(2, campaign=campaign)
    CallFactory(campaign=CampaignFactory())

    [row] = look().running

    assert (row.reached, row.not_reached, row.left) == (1, 1, 2)
    assert (row.reached_share, row.not_reached_share) == (25, 25)
    assert row.why == "dialing"


def test_what_holds_a_campaign_back_is_said():
    campaign = CampaignFactory(running=True)
    CallFactory(campaign=campaign)
    TrunkHealthFactory(
        trunk=campaign.caller_id.trunk,
        down_since=timezone.now(),
        resting_until=timezone.now() + timedelta(minutes=1),
    )

    [row] = look().running

    assert "is down since" in row.why


def test_cards_count_calls_starts_and_answers():
    first = CampaignFactory(running=True)
    CallAttemptFactory(in_progress=True, call__campaign=first, claimed_at=timezone.now())
    CallAttemptFactory(completed=True, call__campaign=first)
    CallAttemptFactory.create_batch(3, no_answer=True, call__campaign=first)

    cards = look({first.account_id}).cards

    assert (cards.calls_up, cards.channels) == (1, first.account.channels)
    assert cards.answer_rate == 0.25
    assert cards.answer_rate_yesterday is None
    assert sum(minute.reached for minute in cards.minutes) == 1
    assert sum(minute.not_reached for minute in cards.minutes) == 3


def test_starts_are_those_of_the_last_minute():
    now = timezone.now()
    CallAttemptFactory(in_progress=True, claimed_at=now - timedelta(seconds=30))
    CallAttemptFactory(in_progress=True, claimed_at=now - timedelta(seconds=90))
    assert look(now=now).cards.starts == 1


def test_the_finish_follows_from_the_rate_of_the_last_minutes():
    now = timezone.now()
    campaign = CampaignFactory(running=True)
    CallFactory.create_batch(40, campaign=campaign)
    _end(campaign, console_now.FEWEST_ENDS - 1, now)
    assert look(now=now).running[0].finish is None, "too few ends say nothing"

    _end(campaign, 1, now)

    finish = look(now=now).running[0].finish
    assert finish == now + timedelta(seconds=240)


def test_no_finish_is_promised_beyond_the_calling_hours():
    now = timezone.now()
    wall = [(now + timedelta(minutes=minutes)).time() for minutes in (-1, 2)]
    account = AccountFactory(time_zone="UTC", opens_at=wall[0], closes_at=wall[1])
    campaign = CampaignFactory(running=True, account=account)
    CallFactory.create_batch(40, campaign=campaign)
    _end(campaign, console_now.FEWEST_ENDS, now)
    assert look(now=now).running[0].finish is None


def _end(campaign: Campaign, attempts: int, now: datetime) -> None:
    """End attempts that were placed two minutes ago."""
    for _ in range(attempts):
        call = CallFactory(failed=True, last_outcome=Outcome.BUSY, campaign=campaign)
        CallAttemptFactory(busy=True, call=call, claimed_at=now - timedelta(seconds=121))


def test_problems_are_told_to_whom_they_concern():
    now = timezone.now()
    lost = CallAttemptFactory(unknown=True, claimed_at=now - timedelta(minutes=11))
    given_up = WebhookDeliveryFactory(given_up=True)
    CarrierEvent.objects.filter(pk=CarrierEventFactory().pk).update(received_at=now - timedelta(minutes=1))

    own = [problem.text for problem in look({lost.campaign.account_id}, now, server_problems=None).problems]
    every = [problem.text for problem in look(None, now, server_problems=lambda: ["beat: silent"]).problems]

    assert own == ["1 call whose outcome the carrier has not told for ten minutes"]
    assert every[0] == "beat: silent"
    assert any("1 webhook was given up" in text for text in every)
    assert any("news of the carriers waits" in text for text in every)
    assert look({given_up.account_id}, now).problems[0].page == "webhooks_webhookdelivery_changelist"


def test_people_see_their_own_accounts_alone():
    own, others = CampaignFactory(running=True), CampaignFactory(running=True)
    CallAttemptFactory(in_progress=True, call__campaign=others)

    seen = look({own.account_id})

    assert [row.campaign for row in seen.running] == [own]
    assert (seen.cards.calls_up, seen.by_status) == (0, {"in-progress": 1})


def test_the_queries_do_not_grow_with_the_campaigns():
    CallFactory(campaign__running=True)
    one = _queries()
    CallFactory.create_batch(10, campaign__running=True)
    assert _queries() == one


def _queries() -> int:
    with CaptureQueriesContext(connection) as queries:
        look()
    return len(queries)


# What looks like success ----------------------------------------------------------------------------------------------


@pytest.fixture
def campaign(clock):
    """Have a campaign that has run for an hour, of a Monday, with a call to make."""
    campaign = CampaignFactory(running=True)
    CallFactory(campaign=campaign)
    return campaign


def problems(campaign, clock) -> list[str]:
    return [problem.text for problem in look({campaign.account_id}, timezone.now()).problems]


STUCK = "1 running campaign has calls to make, and none was started for a minute"


def test_a_campaign_that_may_dial_and_does_not_is_a_problem(campaign, clock):
    assert problems(campaign, clock) == [STUCK]


def test_a_campaign_that_waits_for_a_reason_is_no_problem(campaign, clock):
    campaign.idle_until = timezone.now() + timedelta(minutes=5)
    campaign.save()
    assert problems(campaign, clock) == [], "its calls are not due"
    campaign.idle_until = None
    campaign.save()
    CampaignHistoryFactory(subject=campaign, at=timezone.now() - timedelta(seconds=59))
    assert problems(campaign, clock) == [], "it has just been resumed"
    clock.shift(timedelta(minutes=2))
    assert problems(campaign, clock) == [STUCK]
    Account.objects.update(closes_at=time(11, 0))
    assert problems(campaign, clock) == [], "it is evening"


def test_a_campaign_whose_account_is_dialing_waits_for_its_turn(campaign, clock):
    other = CampaignFactory(running=True, account=campaign.account)
    CallAttemptFactory(in_progress=True, call__campaign=other, claimed_at=timezone.now() - timedelta(seconds=61))
    assert problems(campaign, clock) == []


def test_a_campaign_over_the_sandbox_rings_nobody_and_says_so(campaign, clock):
    Trunk.objects.update(carrier="sandbox")
    assert problems(campaign, clock)[-1] == "1 campaign runs over the sandbox, which rings nobody"


def test_the_day_and_the_pace_are_on_cards(clock):
    account = AccountFactory(time_zone="Asia/Kolkata", starts_per_minute=40)
    campaign = CampaignFactory(running=True, account=account)
    midnight = timezone.now().astimezone(account.zone).replace(hour=0, minute=0)
    for hour, outcome, attempts in ((0, "completed", 3), (9, "busy", 1), (-1, "busy", 7)):
        HourTally.objects.create(
            account_id=account.pk,
            campaign_id=campaign.pk,
            caller_id_id=campaign.caller_id_id,
            hour=midnight + timedelta(hours=hour),
            outcome=outcome,
            number=1,
            attempts=attempts,
            seconds=0,
        )
    cards = look({account.pk}, timezone.now()).cards
    assert (cards.starts_allowed, cards.today.calls, cards.today.rate) == (40, 4, 0.75)
    assert look({AccountFactory().pk}, timezone.now()).cards.today.calls == 0
