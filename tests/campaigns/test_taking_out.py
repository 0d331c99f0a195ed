"""Whoever is taken out of a campaign and reached by nobody ends as canceled, wherever the call was at that moment."""

import pytest
from django.utils import timezone

from accounts.credentials import create_key
from campaigns import again, lifecycle, progress, schedule, taking_out
from campaigns.called_again import Selection
from campaigns.models import Call, CallHistory, Campaign
from contacts import address_book, do_not_call
from core.errors import WrongState
from dialer.models import CallAttempt
from reports.stats import stats
from tests.api.client import Api
from tests.api.test_report import report
from tests.conftest import NUMBERS, leases, states
from tests.dialer.test_outcomes import tell
from tests.factories import ACTOR, ContactFactory, ContactListFactory, ListEntryFactory
from webhooks.models import WebhookDelivery

A, B = NUMBERS[:2]
BARE, DELETED = "the number was taken out of the campaign", "the contact was deleted"
TAKEN_OUT = f"{BARE}: has paid"


def take_out(rig, reason="has paid"):
    wanted = [taking_out.Wanted(number=A)]
    return taking_out.take_out(Campaign.objects.get(), wanted, actor=ACTOR, reason=reason, now=timezone.now())


def delete_contact(rig):
    address_book.delete(address_book.find(rig.account).get(number=A), actor=ACTOR)


@pytest.fixture(params=[(take_out, "taken-out", TAKEN_OUT), (delete_contact, "contact-deleted", DELETED)])
def removal(request):
    """How a person leaves, its code, and its words."""
    return request.param


@pytest.fixture
def campaign(rig):
    """A campaign from a list of A, with two retries: A is busy at first, and then its phone stays up."""
    made = ContactListFactory(account=rig.account)
    ListEntryFactory(contact_list=made, contact=ContactFactory(account=rig.account, number=A))
    rig.carrier.script = {A: ["busy", "silent"]}
    return rig.campaign([], list_ids=[made.pk], retries=2, call_schedule_callback="https://client.example/told")


def attempted(rig):
    """Let the first attempt be busy, until the second is due."""
    rig.tick()
    rig.clock.shift(11 * 60)


def claimed(rig):
    attempted(rig)
    schedule.start_due(timezone.now())
    assert rig.dispatch() == 1


def up(rig):
    claimed(rig)
    rig.dial()
    rig.settle()
    assert CallAttempt.objects.filter(status="in-progress").count() == 1


def end():
    call = Call.objects.get()
    return call.status, call.rule, call.end_reason


def told(campaign):
    campaign.refresh_from_db()
    return {key: count for key, count in stats(campaign, progress.of([campaign.pk])[campaign.pk]).items() if count}


def goes_nowhere(rig, campaign, rings):
    """Nobody is rung by it any more, and its campaign has ended."""
    for _ in range(3):
        rig.later(minutes=30)
        rig.recover()
    assert rig.rings(A) == [A] * rings
    assert (leases(rig.account), Call.objects.get().next_attempt_at) == (0, None)
    campaign.refresh_from_db()
    assert campaign.status == "completed", "a carrier took the first attempt"


def test_one_that_waits_for_a_retry(rig, campaign, removal):
    leave, rule, reason = removal
    attempted(rig)
    leave(rig)
    assert end() == ("canceled", rule, reason)
    assert told(campaign) == {"failed": 1}
    goes_nowhere(rig, campaign, rings=1)
    assert Call.objects.get().last_outcome == "busy"
    [move] = CallHistory.objects.filter(to_status="canceled")
    assert (move.from_status, move.reason) == ("retrying", reason)


def test_one_whose_retry_is_claimed(rig, campaign, removal):
    leave, rule, reason = removal
    claimed(rig)
    leave(rig)
    assert told(campaign) == {"retrying": 1, "pending": 1}
    rig.dial()
    assert end() == ("canceled", rule, f"busy; {reason}")
    assert list(CallAttempt.objects.order_by("id").values_list("status", flat=True)) == ["busy", "canceled"]
    assert Call.objects.get().attempts_made == 1
    goes_nowhere(rig, campaign, rings=1)
    assert told(campaign) == {"failed": 1}


@pytest.mark.parametrize("outcome", ["no-answer", "busy", "failed"])
def test_one_that_is_up_and_not_reached(rig, campaign, removal, outcome):
    leave, rule, reason = removal
    up(rig)
    leave(rig)
    assert Call.objects.get().status == "in-progress"
    tell(CallAttempt.objects.latest("id"), outcome)
    rig.settle()
    assert end() == ("canceled", rule, f"{outcome}; {reason}")
    assert (Call.objects.get().attempts_made, Call.objects.get().last_outcome) == (2, outcome)
    goes_nowhere(rig, campaign, rings=2)
    assert told(campaign) == {"failed": 1}


def test_one_that_is_up_and_answered_is_completed(rig, campaign, removal):
    leave, rule, _ = removal
    up(rig)
    leave(rig)
    tell(CallAttempt.objects.latest("id"), "completed")
    rig.settle()
    assert end() == ("completed", rule, "answered")
    goes_nowhere(rig, campaign, rings=2)
    assert told(campaign) == {"completed": 1}
    [webhook] = WebhookDelivery.objects.filter(kind="call-schedule")
    assert (webhook.payload["status"], "reason" in webhook.payload) == ("completed", False)


@pytest.mark.parametrize(("reply", "outcome"), [("refused", "failed; "), ("unavailable", "")])
def test_one_at_its_first_attempt_that_the_carrier_does_not_take(rig, campaign, removal, reply, outcome, monkeypatch):
    """It is taken out after its intent: it fails, or is given back."""
    leave, rule, reason = removal
    rig.carrier.script = {A: [reply]}
    place = rig.carrier.place

    def leave_and_place(requests):
        leave(rig)
        return place(requests)

    monkeypatch.setattr(rig.carrier, "place", leave_and_place)
    rig.tick()
    assert end() == ("canceled", rule, f"{outcome}{reason}")
    assert Call.objects.get().attempts_made == bool(outcome)
    assert told(campaign) == {"failed" if outcome else "failed-no-attempt": 1}


def list_number(rig):
    do_not_call.add(rig.account, [A], source=do_not_call.Source.API, actor=ACTOR)


def take_out_without_reason(rig):
    take_out(rig, reason="")


def take_out_for_another_reason(rig):
    take_out(rig, reason="moved away")


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ([take_out, delete_contact], TAKEN_OUT),
        ([delete_contact, take_out], TAKEN_OUT),
        ([delete_contact, take_out_without_reason], BARE),
        ([take_out_without_reason, delete_contact], BARE),
        ([take_out, list_number], TAKEN_OUT),
        ([list_number, take_out], TAKEN_OUT),
        ([take_out, take_out_without_reason], TAKEN_OUT),
        ([take_out_without_reason, take_out], TAKEN_OUT),
        ([take_out, take_out_for_another_reason], f"{BARE}: moved away"),
        ([take_out, delete_contact, take_out_without_reason], TAKEN_OUT),
    ],
)
def test_that_one_was_taken_out_while_up_stays_whatever_else_is_decided(rig, campaign, decisions, reason):
    up(rig)
    for decide in decisions:
        decide(rig)
    tell(CallAttempt.objects.latest("id"), "no-answer")
    rig.settle()
    assert end() == ("canceled", "taken-out", f"no-answer; {reason}")
    assert told(campaign) == {"failed": 1}
    goes_nowhere(rig, campaign, rings=2)


@pytest.mark.parametrize("decisions", [[take_out, list_number], [list_number, take_out]])
def test_that_one_was_taken_out_stays_where_its_retry_is_claimed(rig, campaign, decisions):
    """The gate, which knows both, is asked after them."""
    claimed(rig)
    for decide in decisions:
        decide(rig)
    rig.dial()
    assert end() == ("canceled", "taken-out", f"busy; {TAKEN_OUT}")
    goes_nowhere(rig, campaign, rings=1)
    assert told(campaign) == {"failed": 1}


def test_of_one_that_waits_the_first_decision_ends_it(rig, campaign):
    attempted(rig)
    take_out(rig)
    list_number(rig), delete_contact(rig)
    assert end() == ("canceled", "taken-out", TAKEN_OUT)
    assert told(campaign) == {"failed": 1}


def test_of_one_that_waits_and_is_listed_first_the_list_ends_it(rig, campaign):
    attempted(rig)
    list_number(rig)
    with pytest.raises(WrongState, match="the campaign is completed"):
        take_out(rig)
    delete_contact(rig)
    assert end()[:2] == ("failed", "do-not-call")
    assert told(campaign) == {"failed-dnd": 1}


def test_who_was_taken_out_of_a_child_stays_so_when_the_contact_is_deleted_and_stored_again(rig, campaign):
    """The deletion comes during the call out of which the person was taken."""
    rig.carrier.script = {A: ["no-answer", "no-answer", "no-answer", "silent"]}
    for _ in range(3):
        rig.tick()
        rig.clock.shift(11 * 60)
    rig.tick()
    child = again.create(campaign, Selection(who=("no-answer",)), actor=ACTOR, now=timezone.now())
    rig.tick()
    wanted = [taking_out.Wanted(number=A)]
    [out] = taking_out.take_out(child, wanted, actor=ACTOR, reason="has paid", now=timezone.now())
    assert out is not None
    assert out.under_way == 1
    delete_contact(rig)
    tell(CallAttempt.objects.latest("id"), "no-answer")
    rig.settle()
    call = Call.objects.get(campaign=child)
    assert (call.status, call.rule, call.end_reason) == ("canceled", "taken-out", f"no-answer; {TAKEN_OUT}")
    ContactFactory(account=rig.account, number=A)
    for parent in (campaign, child):
        found = again.find(parent, Selection(who=("no-answer",)))
        assert (found.calls, dict(found.skipped)) == (0, {"taken-out": 1})


def test_one_whose_campaign_a_person_completes_meanwhile(rig, campaign):
    """That it was taken out was first."""
    up(rig)
    take_out(rig)
    lifecycle.pause(campaign, actor=ACTOR)
    lifecycle.complete(campaign, actor=ACTOR)
    tell(CallAttempt.objects.latest("id"), "no-answer")
    rig.settle()
    assert end() == ("canceled", "taken-out", f"no-answer; {TAKEN_OUT}")


@pytest.mark.parametrize("is_up", [False, True])
def test_the_end_of_the_campaign_fails_the_others(rig, campaign, is_up):
    (up if is_up else attempted)(rig)
    lifecycle.pause(campaign, actor=ACTOR)
    lifecycle.complete(campaign, actor=ACTOR)
    for attempt in CallAttempt.objects.filter(status="in-progress"):
        tell(attempt, "no-answer")
    rig.settle()
    assert end()[:2] == ("failed", "")


def test_it_is_told_in_the_report_the_webhook_the_details_and_the_diagnosis(rig, campaign):
    attempted(rig)
    take_out(rig)
    made = create_key(rig.account, actor=ACTOR)
    api = Api(rig.account, made.key, made.token)
    counted = api.get(f"/campaigns/{campaign.pk.hex}").data["stats"]
    assert {key: count for key, count in counted.items() if count} == {"failed": 1}
    [row] = report(api, campaign)
    assert (row["status"], row["last_outcome"], row["attempts"], row["reason"]) == ("canceled", "busy", "1", TAKEN_OUT)
    [webhook] = WebhookDelivery.objects.filter(kind="call-schedule")
    assert (webhook.payload["status"], webhook.payload["reason"]) == ("busy", TAKEN_OUT)
    [record] = api.get(f"/campaigns/{campaign.pk.hex}/call-details").records
    told = [record[key] for key in ("status", "attempt_number", "rule", "end_reason")]
    assert told == ["busy", 1, "taken-out", TAKEN_OUT]
    [call] = api.get(f"/campaigns/{campaign.pk.hex}/diagnosis?number=%2B{A[1:]}").data["calls_to_number"]
    assert (call["status"], call["summary"]) == ("canceled", f"rung once: busy; canceled: {TAKEN_OUT}")


def test_who_pressed_a_key_and_was_taken_out_during_that_call_is_not_called_again(rig):
    rig.carrier.script = {A: ["silent"], B: ["silent"]}
    campaign = rig.campaign([A, B])
    rig.tick()
    take_out(rig)
    for attempt in CallAttempt.objects.all():
        tell(attempt, "completed", digits="1")
    rig.settle()
    found = again.find(campaign, Selection(pressed=("1",)))
    assert (found.calls, dict(found.skipped)) == (1, {"taken-out": 1})
    child = again.create(campaign, Selection(pressed=("1",)), actor=ACTOR, now=timezone.now())
    assert states(child) == {B: "created"}
