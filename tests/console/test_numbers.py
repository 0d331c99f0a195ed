"""Find a number."""

import pytest
from django.utils import timezone

from accounts.models import Account
from console import numbers
from contacts import do_not_call
from contacts.models import Contact, ContactList, DoNotCall, ListEntry
from tests.factories import ACTOR, AccountFactory, CallAttemptFactory, CallFactory

pytestmark = pytest.mark.django_db

NUMBER = "+919810077777"


@pytest.mark.parametrize(
    "spelled", ["9810077777", "09810077777", "98100 77777", "0091 98100-77777", "919810077777", NUMBER, f" {NUMBER} "]
)
def test_any_spelling_is_read(spelled):
    AccountFactory(region="IN")
    assert numbers.readings(spelled, None) == [NUMBER]


def test_a_text_is_read_in_the_countries_of_the_persons_accounts_alone():
    indian, german = AccountFactory(region="IN"), AccountFactory(region="DE")
    assert numbers.readings("030 901820", {indian.pk}) == []
    assert numbers.readings("030 901820", {german.pk}) == ["+4930901820"]
    assert numbers.readings("no number", None) == []


def test_all_that_was_done_at_a_number_is_found():
    call = CallFactory(completed=True, number=NUMBER)
    account: Account = call.campaign.account
    first = CallAttemptFactory(completed=True, call=call, digits="2")
    waiting = CallFactory(number=NUMBER, campaign__account=account)
    CallFactory()
    contact_list = ContactList.objects.create(account=account, name="Parents")
    ListEntry.objects.create(contact_list=contact_list, contact=Contact.objects.create(account=account, number=NUMBER))
    do_not_call.add(account, [NUMBER], source=DoNotCall.Source.API, actor=ACTOR)

    found = numbers.find(NUMBER, None)

    assert {row.pk for row in found.calls} == {call.pk, waiting.pk}
    assert found.last == first
    assert found.lists == [("Parents", account.sid)]
    assert found.listings == [(account.sid, "on the do-not-call list: added by the API")]
    assert found.callers == [account]


def test_nothing_of_other_accounts_is_found():
    CallAttemptFactory(completed=True, call=CallFactory(completed=True, number=NUMBER))
    own, other = AccountFactory(), AccountFactory()
    do_not_call.add(other, [NUMBER], source=DoNotCall.Source.API, actor=ACTOR)
    do_not_call.add(None, [NUMBER], source=DoNotCall.Source.ADMIN, actor=ACTOR)
    ListEntry.objects.create(
        contact_list=ContactList.objects.create(account=other, name="Others"),
        contact=Contact.objects.create(account=other, number=NUMBER),
    )

    found = numbers.find(NUMBER, {own.pk})

    assert (found.calls, found.attempts, found.lists, found.last) == ([], [], [], None)
    assert found.listings == [("", "on the do-not-call list of all accounts: added by a person")]
    assert found.callers == [own]


def test_an_attempt_that_was_given_back_is_no_call():
    call = CallFactory(number=NUMBER, campaign__running=True)
    CallAttemptFactory(canceled=True, call=call, claimed_at=timezone.now())
    found = numbers.find(NUMBER, None)
    assert len(found.attempts) == 1
    assert found.rings == []
