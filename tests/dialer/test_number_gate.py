"""Numbers that must not be called are not dialed, whatever was allowed when they came in; calls say why."""

import threading

import pytest
from django.utils import timezone

from campaigns import progress, schedule
from campaigns.models import Call
from contacts import address_book
from contacts.models import DoNotCall
from dialer import attempt_ends
from dialer.models import CallAttempt
from reports.stats import stats
from tests.at_once import in_thread, waits
from tests.conftest import NUMBERS, states
from tests.factories import ACTOR, CallerIdFactory, ContactFactory, ContactListFactory, ListEntryFactory

A, B = NUMBERS[:2]
ABROAD = "+4915112345678"
PREMIUM = "+911861123456789"


@pytest.fixture
def campaign(rig):
    return rig.campaign([ABROAD, A, PREMIUM], retries=2)


def test_they_end_without_an_attempt_and_say_why(rig, campaign):
    rig.tick()
    rig.later(minutes=11)
    assert rig.rings() == [A]
    assert states(campaign) == {ABROAD: "failed", A: "completed", PREMIUM: "failed"}
    reasons = dict(Call.objects.values_list("number", "end_reason"))
    assert reasons[ABROAD] == "it is a number of DE, and this account calls IN only"
    assert reasons[PREMIUM].startswith("it is a premium-rate number")
    assert set(Call.objects.exclude(number=A).values_list("attempts_made", "was_placed")) == {(0, False)}
    assert set(CallAttempt.objects.values_list("callee", flat=True)) == {A}
    assert dict(Call.objects.values_list("number", "rule")) == {ABROAD: "not-called", A: "", PREMIUM: "not-called"}


def test_a_setting_that_changes_after_the_claim_gives_the_attempt_back(rig):
    campaign = rig.campaign([A])
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.account.allowed_countries = ["DE"]
    rig.account.save()
    rig.dial()
    assert rig.rings() == []
    assert states(campaign) == {A: "failed"}
    assert list(CallAttempt.objects.values_list("status", "placing_at")) == [("canceled", None)]


def test_the_settings_of_the_moment_count(rig, campaign):
    rig.account.allowed_countries = ["DE"]
    rig.account.allowed_kinds = ["mobile", "premium-rate"]
    rig.account.save()
    rig.tick()
    assert rig.rings() == [ABROAD]


def test_the_countries_of_all_caller_ids_count_not_only_the_campaigns(rig, campaign):
    CallerIdFactory(account=rig.account, number="+4930123456")
    rig.tick()
    assert sorted(rig.rings()) == [ABROAD, A]


def test_a_retry_is_refused_that_was_allowed_at_the_first_attempt(rig):
    rig.carrier.script[A] = ["busy"]
    campaign = rig.campaign([A], retries=2)
    rig.tick()
    rig.account.allowed_countries = ["DE"]
    rig.account.save()
    rig.later(minutes=11)
    assert rig.rings() == [A]
    assert states(campaign) == {A: "failed"}
    assert Call.objects.get().end_reason == "it is a number of IN, and this account calls DE only"


# The do-not-call list ------------------------------------------------------------------------------------------------


def put_on_the_list(rig, number, of_all=False):
    """Put it there as an import would, without ending the calls that wait."""
    account = None if of_all else rig.account
    DoNotCall.objects.create(account=account, number=number, source="csv", added_at=timezone.now())


def told(campaign):
    campaign.refresh_from_db()
    return {key: count for key, count in stats(campaign, progress.of([campaign.pk])[campaign.pk]).items() if count}


@pytest.mark.parametrize("of_all", [False, True])
def test_a_listed_number_fails_without_an_attempt_and_is_counted_apart(rig, of_all):
    put_on_the_list(rig, A, of_all)
    campaign = rig.campaign([A, B])
    rig.tick()
    assert rig.rings() == [B]
    call = Call.objects.get(number=A)
    assert (call.status, call.rule, call.attempts_made) == ("failed", "do-not-call", 0)
    assert call.end_reason.startswith("on the do-not-call list")
    assert told(campaign) == {"completed": 1, "failed-dnd": 1}
    assert campaign.status == "completed"


def test_a_number_that_is_listed_after_the_claim_is_not_rung(rig):
    campaign = rig.campaign([A, B])
    schedule.start_due(timezone.now())
    assert rig.dispatch() == 2
    put_on_the_list(rig, A)
    rig.dial()
    rig.settle()
    assert rig.rings() == [B]
    assert told(campaign) == {"completed": 1, "failed-dnd": 1}


def test_a_number_that_is_listed_during_its_call_gets_no_retry(rig):
    rig.carrier.script[A] = ["busy"]
    campaign = rig.campaign([A], retries=2)
    rig.tick()
    put_on_the_list(rig, A)
    rig.later(minutes=11)
    assert rig.rings() == [A]
    assert states(campaign) == {A: "failed"}
    assert told(campaign) == {"failed-dnd": 1}


def test_another_accounts_list_holds_nobody(rig):
    DoNotCall.objects.create(account=CallerIdFactory().account, number=A, source="csv", added_at=timezone.now())
    rig.campaign([A])
    rig.tick()
    assert rig.rings() == [A]


def test_a_million_listed_calls_keep_nobody_waiting_who_may_be_called(rig, monkeypatch):
    """With two channels, hundreds of calls are looked at in one run."""
    rig.account.channels = 2
    rig.account.save()
    for number in NUMBERS[:300]:
        put_on_the_list(rig, number)
    rig.campaign(NUMBERS[:302])
    rig.tick()
    assert sorted(rig.rings()) == NUMBERS[300:302]


# Contacts that are deleted --------------------------------------------------------------------------------------------


@pytest.fixture
def from_a_list(rig):
    """A campaign made from a list with A and B."""
    made = ContactListFactory(account=rig.account)
    for number in (A, B):
        ListEntryFactory(contact_list=made, contact=ContactFactory(account=rig.account, number=number))
    return rig.campaign([], list_ids=[made.pk], retries=2)


def delete_contact(rig, number):
    contact = address_book.find(rig.account).get(number=number)
    address_book.delete(contact, actor=ACTOR)


def test_a_deleted_contact_is_not_called_by_what_waits(rig, from_a_list):
    delete_contact(rig, A)
    assert states(from_a_list) == {A: "canceled", B: "created"}
    rig.tick()
    assert rig.rings() == [B]
    assert Call.objects.get(number=A).end_reason == "the contact was deleted"
    assert told(from_a_list) == {"completed": 1, "failed-no-attempt": 1}


def test_a_contact_that_is_deleted_after_the_claim_is_not_rung(rig, from_a_list):
    schedule.start_due(timezone.now())
    rig.dispatch()
    delete_contact(rig, A)
    rig.dial()
    rig.settle()
    assert rig.rings() == [B]
    assert states(from_a_list) == {A: "canceled", B: "completed"}


def test_a_contact_that_is_deleted_during_a_call_gets_no_retry(rig, from_a_list):
    rig.carrier.script[A] = ["busy"]
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.dial()
    delete_contact(rig, A)
    rig.settle()
    assert states(from_a_list)[A] == "canceled"
    assert Call.objects.get(number=A).end_reason == "busy; the contact was deleted"


def test_a_contact_that_is_deleted_while_an_outcome_is_stored_gets_no_retry(rig, from_a_list, monkeypatch):
    """The deletion waits for the outcome, or the outcome sees it: never both halfway."""
    rig.carrier.script[A] = ["busy"]
    call_move = attempt_ends.call_move
    threads: list[threading.Thread] = []

    def slow_call_move(attempt, *args):
        if attempt.call.number == A and not threads:
            threads.append(in_thread(delete_contact, rig, A))
            waits(threads[0])
        return call_move(attempt, *args)

    monkeypatch.setattr(attempt_ends, "call_move", slow_call_move)
    rig.tick()
    threads[0].join(60)
    rig.later(minutes=11)
    assert rig.rings(A) == [A]
    assert states(from_a_list)[A] == "canceled"


def test_a_contact_that_is_deleted_before_a_retry_gets_none(rig, from_a_list):
    rig.carrier.script[A] = ["busy"]
    rig.tick()
    delete_contact(rig, A)
    rig.later(minutes=11)
    assert rig.rings(A) == [A]
    assert states(from_a_list)[A] == "canceled"


def test_the_call_of_a_deleted_contact_that_is_answered_counts(rig, from_a_list):
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.dial()
    delete_contact(rig, A)
    rig.settle()
    assert states(from_a_list)[A] == "completed"


def test_a_campaign_of_given_numbers_knows_no_contacts(rig):
    ContactFactory(account=rig.account, number=A)
    campaign = rig.campaign([A])
    delete_contact(rig, A)
    rig.tick()
    assert states(campaign) == {A: "completed"}


def test_a_campaign_ends_with_its_last_contact(rig, from_a_list):
    rig.carrier.script = {A: ["busy"], B: ["busy"]}
    rig.tick()
    delete_contact(rig, A)
    delete_contact(rig, B)
    from_a_list.refresh_from_db()
    assert from_a_list.status == "completed"
