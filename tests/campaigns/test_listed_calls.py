"""Calls that wait end when their numbers come on the do-not-call list; what is under way, and what is others' stays."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit
from campaigns import lifecycle, progress, schedule
from campaigns.models import Call, Campaign
from contacts import do_not_call
from contacts.do_not_call import Source
from reports.stats import stats
from tests.conftest import NUMBERS, states
from tests.dialer.test_outcomes import tell, up
from tests.factories import ACTOR, AccountFactory, CallerIdFactory, CallFactory, CampaignFactory, FlowFactory
from webhooks.models import WebhookDelivery

A, B, C = NUMBERS[:3]


def put_on_list(account, *numbers, source=Source.API):
    return do_not_call.add(account, numbers, source=source, actor=ACTOR)


def counts(campaign):
    campaign.refresh_from_db()
    counted = stats(campaign, progress.of([campaign.pk])[campaign.pk])
    return {name: count for name, count in counted.items() if count}


def ends(campaign):
    return dict(Call.objects.filter(campaign=campaign).values_list("number", "end_reason"))


def test_a_campaign_that_runs_goes_on_without_them(rig):
    campaign = rig.campaign([A, B, C])
    put_on_list(rig.account, A)
    rig.tick()
    assert A not in rig.rings()
    assert set(rig.rings()) == {B, C}
    assert counts(campaign)["failed-dnd"] == 1
    assert ends(campaign)[A] == "on the do-not-call list: added by the API"


def test_a_retry_that_waits_ends_and_its_attempt_stays(rig):
    rig.carrier.script = {A: ["busy"]}
    campaign = rig.campaign([A, B], retries=2, call_schedule_callback="https://client.example/told")
    rig.carrier.script[B] = ["silent"]
    rig.tick()
    assert states(campaign)[A] == "retrying"
    put_on_list(rig.account, A, source=Source.FLOW)
    assert states(campaign)[A] == "failed"
    assert counts(campaign) == {"failed-dnd": 1, "in-progress": 1, "pending": 1}
    [webhook] = WebhookDelivery.objects.filter(kind="call-schedule")
    told = {name: webhook.payload[name] for name in ("to", "status", "reason")}
    assert told == {"to": A, "status": "busy", "reason": "on the do-not-call list: the person called asked for it"}
    rig.later(hours=1)
    assert rig.rings(A) == [A]


def test_a_call_that_is_up_goes_on_and_is_not_tried_again(rig):
    [attempt] = up(rig, retries=2)
    put_on_list(rig.account, A)
    assert states(attempt.campaign)[A] == "in-progress"
    tell(attempt, "no-answer")
    rig.settle()
    rig.later(hours=1)
    rig.later(hours=1)
    assert rig.rings(A) == [A]
    assert counts(Campaign.objects.get()) == {"failed-dnd": 1}


@pytest.mark.parametrize("state", ["running", "paused", "scheduled"])
def test_a_campaign_whose_last_call_it_was_is_closed(rig, state):
    columns = {"send_at": timezone.now() + timedelta(hours=1)} if state == "scheduled" else {}
    campaign = rig.campaign([A, B], **columns)
    if state == "running":
        schedule.start_due(timezone.now())
    if state == "paused":
        lifecycle.pause(campaign, actor=ACTOR)
    put_on_list(None, A, B)
    if state == "scheduled":
        rig.later(hours=1)
        rig.end_due()
    campaign.refresh_from_db()
    assert (campaign.status, set(states(campaign).values())) == ("failed", {"failed"})
    assert counts(campaign) == {"failed-dnd": 2}
    assert rig.rings() == []


def test_the_list_of_one_account_leaves_the_calls_of_others(rig):
    other = AccountFactory()
    theirs = lifecycle.create(
        other,
        numbers=[A],
        now=timezone.now(),
        actor=ACTOR,
        caller_id=CallerIdFactory(account=other, trunk=rig.trunk),
        flow=FlowFactory(account=other),
        flow_url="http://my.exotel.com/other/exoml/start_voice/1",
    )
    mine = rig.campaign([A])
    put_on_list(rig.account, A)
    assert (states(mine)[A], states(theirs)[A]) == ("failed", "created")
    put_on_list(None, A)
    assert states(theirs)[A] == "failed"


@pytest.mark.django_db
class TestStatements:
    def test_no_open_campaign_is_one_query(self, django_assert_num_queries):
        account = AccountFactory()
        CallFactory(campaign=CampaignFactory(account=account, completed=True), completed=True, number=A)
        with django_assert_num_queries(6):  # five of the list's own
            put_on_list(account, A)

    def test_many_take_as_many_as_two(self):
        def times(numbers):
            campaign = CampaignFactory(account=account, running=True)
            for number in numbers:
                CallFactory(campaign=campaign, number=number)
            with CaptureQueriesContext(connection) as queries:
                put_on_list(account, *numbers)
            assert set(states(campaign).values()) == {"failed"}
            return len(queries)

        account = AccountFactory()
        assert times(NUMBERS[:2]) == times(NUMBERS[2:22])

    def test_calls_of_campaigns_that_have_ended_keep_their_ends(self):
        account = AccountFactory()
        call = CallFactory(campaign=CampaignFactory(account=account, completed=True), completed=True, number=A)
        put_on_list(account, A)
        call.refresh_from_db()
        assert (call.status, call.rule) == ("completed", "")


def test_what_a_system_lists_is_told_as_its_own(rig):
    campaign = rig.campaign([A])
    do_not_call.add(rig.account, [A], source=Source.FLOW, actor=audit.SYSTEM)
    assert ends(campaign)[A] == "on the do-not-call list: the person called asked for it"
