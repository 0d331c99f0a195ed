"""One table for all carriers: what each driver has to do, from the claim to the end of a call (`far_ends.py`)."""

from datetime import timedelta
from itertools import permutations

import pytest
from django.utils import timezone

from accounts import carriers
from accounts.models import Account
from campaigns import lifecycle, schedule, taking_out
from campaigns.models import Call, Campaign
from contacts import do_not_call
from dialer import look_ups
from dialer.models import CallAttempt, Transfer, TrunkHealth
from tests.conftest import NUMBERS, leases
from tests.dialer.far_ends import TALK_SECONDS, FarEnd, News, Reply
from tests.factories import ACTOR, FlowFactory

A = NUMBERS[0]


@pytest.fixture(autouse=True)
def able(request):
    """Leave a case out before anything is made for it, where its carrier can't do what it is about."""
    kind: type[FarEnd] = request.node.callspec.params["far"]
    if "queued" in request.fixturenames and not carriers.get(kind.carrier).queues_calls:
        pytest.skip("it lets no call wait")
    if {"connecting", "announced"} & {*request.fixturenames} and not kind.connects:
        pytest.skip("it connects nobody as our flows say")


def attempts():
    return list(CallAttempt.objects.order_by("pk").values_list("status", flat=True))


def call_status():
    return Call.objects.get().status


# What is asked for, and what the reply means -------------------------------------------------------------------------


def test_a_call_is_asked_for_once_with_its_number_caller_id_and_ring_time(rig, far, line, dialed, settings):
    settings.RING_TIMEOUT_SECONDS = 25
    call = dialed.one()
    rig.tick()
    attempt = CallAttempt.objects.get()
    assert (call.number, call.caller_id, call.ring_timeout) == (A, line.number, 25)
    assert (attempt.status, attempt.pk) == ("in-progress", call.attempt_id)
    assert len(far.calls) == 1


@pytest.mark.parametrize(
    ("of_campaign", "of_account", "rings"),
    [(20, None, 20), (None, 30, 30), (20, 30, 20), (None, None, 45), (90, 90, 45)],
)
def test_a_phone_rings_as_the_campaign_says_then_the_account_and_never_longer_than_the_server(
    rig, dialed, of_campaign, of_account, rings
):
    rig.account.ring_timeout = of_account
    rig.account.save()
    assert dialed.one(ring_timeout=of_campaign).ring_timeout == rings


@pytest.mark.parametrize(
    ("reply", "attempt", "call", "rests"),
    [
        (Reply.TAKEN, "in-progress", "in-progress", False),
        (Reply.NUMBER_REFUSED, "failed", "failed", False),
        (Reply.ACCOUNT_REFUSED, "canceled", "retrying", False),
        (Reply.NO_ROOM, "canceled", "created", True),
        (Reply.LOST, "unknown", "in-progress", False),
        (Reply.GONE, "unknown", "in-progress", False),
    ],
)
def test_what_a_reply_means(far, dialed, reply, attempt, call, rests):
    if reply == Reply.NUMBER_REFUSED and not far.names_numbers:
        attempt, call = "canceled", "retrying"
    if reply in {Reply.LOST, Reply.GONE} and not far.can_lose_replies:
        pytest.skip("its replies can't be lost")
    dialed.one(reply)
    assert (attempts(), call_status()) == ([attempt], call)
    assert TrunkHealth.objects.filter(failures__gt=0).exists() is rests


def test_a_call_whose_reply_was_lost_is_found_and_not_dialed_again(rig, far, dialed):
    if not far.can_lose_replies:
        pytest.skip("its replies can't be lost")
    call = dialed.one(Reply.LOST)
    rig.clock.shift(look_ups.believed_after() + timedelta(seconds=1))
    rig.recover()
    assert attempts() == ["in-progress"]
    far.tell(call, News.COMPLETED)
    rig.settle()
    assert (attempts(), call_status(), len(far.calls)) == (["completed"], "completed", 1)


def test_a_call_that_the_carrier_never_took_is_dialed_again(rig, far, dialed):
    if not far.can_lose_replies:
        pytest.skip("its replies can't be lost")
    dialed.one(Reply.GONE)
    rig.clock.shift(timedelta(seconds=20))
    rig.recover()
    assert attempts() == ["unknown"]
    rig.clock.shift(look_ups.believed_after())
    far.reply = Reply.TAKEN
    rig.recover()
    rig.tick()
    assert (attempts(), len(far.calls)) == (["canceled", "in-progress"], 1)


def test_a_call_that_is_late_is_not_asked_for(rig, far, dialed):
    dialed.start()
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.clock.shift(timedelta(seconds=60))
    rig.dial()
    assert (attempts(), far.calls) == (["canceled"], [])


def test_nothing_is_asked_for_after_the_close_of_the_hours(rig, far, dialed):
    hours = rig.account.calling_hours
    rig.account.closes_at = (timezone.now().astimezone(hours.zone) + timedelta(minutes=1)).time()
    rig.account.save()
    dialed.start()
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.clock.shift(timedelta(seconds=60))
    rig.dial()
    assert (attempts(), call_status(), far.calls) == (["canceled"], "created", [])


# Calls that wait at the carrier ---------------------------------------------------------------------------------------


@pytest.fixture
def queued(dialed):
    """Dial a number whose call waits in the carrier's queue. Returns the far end's call."""
    return dialed.one()


def close_hours(rig):
    rig.account.closes_at = (timezone.now().astimezone(rig.account.zone) + timedelta(minutes=5)).time()
    rig.account.save()
    rig.clock.shift(timedelta(minutes=5))


def pause(rig):
    lifecycle.pause(Campaign.objects.get(), actor=ACTOR)


def reach_its_end(rig):
    end_at = timezone.now() + timedelta(minutes=5)
    Campaign.objects.update(end_at=end_at, expires_at=end_at)
    rig.clock.shift(timedelta(minutes=5))


def end(rig):
    pause(rig)
    lifecycle.complete(Campaign.objects.get(), actor=ACTOR)


def list_number(rig):
    do_not_call.add(rig.account, [A], source=do_not_call.Source.API, actor=ACTOR)


def list_other(rig):
    do_not_call.add(rig.account, [NUMBERS[1]], source=do_not_call.Source.API, actor=ACTOR)


def take_out(rig):
    campaign = Campaign.objects.get()
    taking_out.take_out(campaign, [taking_out.Wanted(number=A)], actor=ACTOR, now=timezone.now())


def forget_rules(rig):
    Account.objects.filter(pk=rig.account.pk).update(rules=["taken-away"])


@pytest.mark.parametrize(
    ("shut", "call"),
    [
        (close_hours, "created"),
        (reach_its_end, "canceled"),
        (pause, "created"),
        (end, "failed"),
        (list_number, "created"),
        (take_out, "canceled"),
        (forget_rules, "created"),
    ],
)
def test_a_call_that_still_waits_when_the_gate_shuts_is_taken_back(rig, far, queued, shut, call):
    shut(rig)
    rig.recover()
    assert queued.is_hung_up
    rig.settle()
    assert (attempts(), call_status()) == (["canceled"], call)
    attempt = CallAttempt.objects.get()
    assert (attempt.reason, leases(rig.account)) == ("taken back from the carrier's queue", 0)
    assert Call.objects.get().attempts_made == 0


def test_calls_are_taken_back_before_the_hours_close_rather_than_after(rig, queued):
    close_hours(rig)
    rig.clock.shift(-timedelta(seconds=6))
    rig.recover()
    assert not queued.is_hung_up
    rig.clock.shift(timedelta(seconds=2))
    rig.recover()
    assert queued.is_hung_up


def test_a_call_whose_phone_rings_when_the_gate_shuts_goes_on(rig, far, queued):
    far.tell(queued, News.RINGING)
    rig.settle()
    pause(rig)
    rig.recover()
    assert not queued.is_hung_up
    far.tell(queued, News.COMPLETED)
    rig.settle()
    assert attempts() == ["completed"]


@pytest.mark.parametrize(
    ("news", "outcome"), [([], "canceled"), ([News.RINGING], "failed"), ([News.RINGING, News.ANSWERED], "failed")]
)
def test_its_end_gives_the_attempt_back_whoever_tells_of_it_unless_it_rang(rig, far, queued, news, outcome):
    """A crash after the carrier was asked: only an event tells. Its turn may have come just before."""
    pause(rig)
    CallAttempt.objects.update(withdrawn_at=timezone.now())
    for told in (*news, News.CANCELED):
        far.tell(queued, told)
    rig.settle()
    assert attempts() == [outcome]


def test_a_call_that_was_canceled_by_somebody_else_is_spent(rig, far, queued):
    far.tell(queued, News.CANCELED)
    rig.settle()
    assert attempts() == ["failed"]


def test_a_carrier_that_says_nothing_of_its_queue_is_asked_again(rig, far, queued):
    pause(rig)
    far.is_silent = True
    rig.recover()
    rig.settle()
    assert attempts() == ["in-progress"]
    far.is_silent = False
    rig.clock.shift(timedelta(seconds=31))
    rig.recover()
    rig.settle()
    assert (queued.is_hung_up, attempts()) == (True, ["canceled"])


# News of a call ------------------------------------------------------------------------------------------------------


def test_when_a_phone_rings_is_kept_where_the_carrier_tells(rig, far, dialed):
    if not far.tells_of_rings:
        pytest.skip("it tells of no rings")
    call = dialed.one()
    rig.clock.shift(timedelta(seconds=3))
    far.tell(call, News.RINGING)
    far.tell(call, News.ANSWERED)
    rig.settle()
    attempt = CallAttempt.objects.get()
    assert attempt.rang_at
    assert attempt.answered_at == timezone.now() >= attempt.rang_at


@pytest.mark.parametrize("outcome", [News.COMPLETED, News.BUSY, News.NO_ANSWER, News.FAILED])
def test_every_outcome_ends_the_attempt(rig, far, dialed, outcome):
    call = dialed.one()
    rig.clock.shift(timedelta(seconds=30))
    far.tell(call, outcome)
    rig.settle()
    attempt = CallAttempt.objects.get()
    talked = TALK_SECONDS if outcome == News.COMPLETED else None
    assert (attempt.status, attempt.carrier_ref, attempt.duration_seconds) == (outcome, call.ref, talked)
    assert (attempt.answered_at is not None) is (outcome == News.COMPLETED)
    assert leases(rig.account) == 0


ORDERS = list(permutations([News.RINGING, News.ANSWERED, News.COMPLETED]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_news_in_any_order_and_twice_end_the_call_once(rig, far, dialed, order):
    call = dialed.one()
    rig.clock.shift(timedelta(seconds=30))
    for news in order:
        if news != News.RINGING or far.tells_of_rings:
            far.tell(call, news)
            far.tell(call, news)
            rig.settle()
    assert (attempts(), call_status(), len(far.calls)) == (["completed"], "completed", 1)


def test_an_end_that_was_told_to_nobody_is_asked_for(rig, far, dialed, settings):
    call = dialed.one()
    far.tell(call, News.ANSWERED)
    rig.settle()
    far.end(call, News.COMPLETED)
    rig.clock.shift(timedelta(seconds=settings.CARRIER_POLL_AFTER_SECONDS + 1))
    rig.recover()
    assert (attempts(), CallAttempt.objects.get().duration_seconds) == (["completed"], TALK_SECONDS)


def test_a_call_that_is_up_for_too_long_is_hung_up_where_its_carrier_ends_calls(rig, far, line, dialed):
    call = dialed.one()
    far.tell(call, News.ANSWERED)
    rig.settle()
    rig.clock.shift(look_ups.longest_call() + timedelta(seconds=1))
    rig.recover()
    assert call.is_hung_up is line.trunk.kind.hangs_up
    rig.clock.shift(look_ups.HANG_UP_GRACE)
    rig.recover()
    assert "in-progress" not in attempts()
    assert leases(rig.account) == 0


def test_keys_reach_the_attempt_also_when_the_callee_hangs_up(rig, far, line, dialed):
    if not line.trunk.kind.runs_our_flows:
        pytest.skip("its flows are its own")
    call = dialed.one()
    far.press(call, "12#")
    far.tell(call, News.COMPLETED)
    rig.settle()
    assert (attempts(), CallAttempt.objects.get().digits) == (["completed"], "12#")


SERVICE = {"steps": [{"connect": {"numbers": [NUMBERS[1], NUMBERS[2]], "otherwise": [{"say": "All busy"}]}}]}


def legs():
    return list(Transfer.objects.order_by("pk").values_list("number", "outcome", "talk_seconds"))


@pytest.fixture
def connecting(rig, dialed):
    """Dial a number whose flow connects it to one of two others."""
    return lambda: dialed.one(flow=FlowFactory(account=rig.account, document=SERVICE))


def test_a_call_to_another_number_is_a_channel_until_it_ends(rig, far, connecting):
    call = connecting()
    assert (far.ring_other(call), leases(rig.account)) == (NUMBERS[1], 2)
    far.end_other(call, News.BUSY)
    assert leases(rig.account) == 2
    far.end_other(call, News.COMPLETED)
    assert leases(rig.account) == 1
    assert legs() == [(NUMBERS[1], "busy", None), (NUMBERS[2], "completed", TALK_SECONDS)]
    far.tell(call, News.COMPLETED)
    rig.settle()
    assert (attempts(), leases(rig.account)) == (["completed"], 0)


@pytest.fixture
def announced(rig, dialed):
    """Dial a number whose flow says that it connects, and then does."""
    document = {"steps": [{"say": "We connect you"}, *SERVICE["steps"]]}
    return lambda: dialed.one(flow=FlowFactory(account=rig.account, document=document))


@pytest.mark.parametrize(
    ("shut", "rule"), [(pause, "paused"), (close_hours, "outside-calling-hours"), (list_other, "do-not-call")]
)
def test_a_number_is_not_rung_against_a_rule_that_came_to_hold_while_the_text_before_it_was_read(
    rig, far, announced, shut, rule
):
    call = announced()
    assert (far.hear(call), legs(), leases(rig.account)) == (["We connect you"], [], 1)
    shut(rig)
    assert far.ring_other(call) == (NUMBERS[2] if shut is list_other else "")
    leg = Transfer.objects.get(number=NUMBERS[1])
    assert (leg.rule, leg.placing_at) == (rule, None)


def test_a_number_is_rung_after_the_text_before_it(rig, far, announced):
    call = announced()
    far.hear(call)
    rig.clock.shift(timedelta(seconds=60))
    assert (far.ring_other(call), leases(rig.account)) == (NUMBERS[1], 2)
    far.end_other(call, News.COMPLETED)
    assert legs() == [(NUMBERS[1], "completed", TALK_SECONDS)]


def test_a_callee_who_hangs_up_during_the_text_was_connected_to_nobody(rig, far, announced):
    call = announced()
    far.hear(call)
    far.tell(call, News.COMPLETED)
    rig.settle()
    assert (attempts(), legs()) == (["completed"], [])


def test_without_a_free_channel_no_other_number_is_rung(rig, far, connecting):
    rig.account.channels = 1
    rig.account.save()
    assert (far.ring_other(connecting()), legs(), leases(rig.account)) == ("", [], 1)


def test_a_call_to_another_number_ends_with_its_own(rig, far, connecting):
    call = connecting()
    far.ring_other(call)
    far.tell(call, News.COMPLETED)
    rig.settle()
    assert (legs(), leases(rig.account)) == ([(NUMBERS[1], "canceled", None)], 0)


def test_outside_the_hours_a_flow_rings_its_accounts_own_people_alone(rig, far, connecting):
    call = connecting()
    rig.account.opens_at, rig.account.agent_numbers = "12:00", [NUMBERS[2]]
    rig.account.save()
    assert (far.ring_other(call), leases(rig.account)) == (NUMBERS[2], 2)
    assert legs() == [(NUMBERS[1], "failed", None), (NUMBERS[2], "", None)]
    assert Transfer.objects.get(number=NUMBERS[1]).rule == "outside-calling-hours"


def test_a_number_that_was_connected_is_not_called_more_often_than_a_cap_allows(rig, far, connecting, line):
    rig.account.number_caps = ["1 conversation in 1 hour"]
    rig.account.save()
    call = connecting()
    far.ring_other(call)
    far.end_other(call, News.COMPLETED)
    later = rig.campaign([NUMBERS[1], NUMBERS[2]], caller_id=line)
    rig.tick()
    assert [one.number for one in far.calls[1:]] == [NUMBERS[2]]
    assert later.calls.get(number=NUMBERS[1]).rule == "number-cap"


def test_keys_that_come_with_the_end_reach_the_attempt(rig, far, line, dialed):
    if line.trunk.kind.runs_our_flows:
        pytest.skip("its keys come while the flow runs")
    call = dialed.one()
    far.tell(call, News.COMPLETED, keys="7")
    rig.settle()
    assert CallAttempt.objects.get().digits == "7"
