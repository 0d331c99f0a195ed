"""The numbers that must not be called: who is on whose list, and how they come to it and off it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from accounts.audit_entry import AuditEntry
from contacts import do_not_call, signals
from contacts.do_not_call import Source, listed
from contacts.models import DoNotCall
from tests.factories import ACTOR, AccountFactory
from tests.plans import forget_statistics

NUMBERS = [f"+9198100{n:05d}" for n in range(6)]


def add(account, *numbers, source=Source.API, note=""):
    return do_not_call.add(account, numbers, source=source, actor=ACTOR, notes=dict.fromkeys(numbers, note))


@pytest.mark.django_db
class TestListed:
    def test_an_accounts_numbers_are_its_own(self):
        account, other = AccountFactory.create_batch(2)
        add(account, NUMBERS[0])
        assert set(listed(account.pk, NUMBERS)) == {NUMBERS[0]}
        assert listed(other.pk, NUMBERS) == {}

    def test_numbers_for_all_are_everybodys(self):
        accounts = AccountFactory.create_batch(2)
        add(None, NUMBERS[1])
        for account in accounts:
            assert listed(account.pk, NUMBERS)[NUMBERS[1]].for_all

    def test_names_the_accounts_own_entry_of_two(self):
        account = AccountFactory()
        add(None, NUMBERS[0])
        add(account, NUMBERS[0], source=Source.FLOW)
        listing = listed(account.pk, [NUMBERS[0], NUMBERS[0]])[NUMBERS[0]]
        assert (listing.for_all, listing.source) == (False, "flow")

    def test_says_why(self):
        account = AccountFactory()
        add(account, NUMBERS[0], source=Source.FLOW)
        add(None, NUMBERS[1], source=Source.ADMIN)
        reasons = {number: listing.reason for number, listing in listed(account.pk, NUMBERS).items()}
        assert reasons == {
            NUMBERS[0]: "on the do-not-call list: the person called asked for it",
            NUMBERS[1]: "on the do-not-call list of all accounts: added by a person",
        }

    def test_is_one_query_and_none_for_no_numbers(self, django_assert_num_queries):
        account = AccountFactory()
        add(account, *NUMBERS)
        with django_assert_num_queries(1):
            listed(account.pk, NUMBERS)
        with django_assert_num_queries(0):
            assert listed(account.pk, []) == {}

    def test_looks_at_an_index_whatever_the_planner_knows(self):
        with connection.cursor() as cursor:
            # A table of one page is read as a whole, where that is known of it.
            cursor.execute("SET LOCAL enable_seqscan = off")
            forget_statistics(cursor)
            cursor.execute("EXPLAIN " + do_not_call._LISTED, {"numbers": NUMBERS, "accounts": [1] * len(NUMBERS)})
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "do_not_call_number_is_unique_in_its_account" in plan
        assert "do_not_call_number_is_unique_for_all" in plan
        assert "Seq Scan" not in plan


@pytest.mark.django_db
class TestAdding:
    def test_leaves_what_is_there(self):
        account = AccountFactory()
        [first] = add(account, NUMBERS[0], source=Source.FLOW, note="pressed 9")
        again, new, twice = add(account, NUMBERS[0], NUMBERS[1], NUMBERS[1], note="later")
        assert [addition.is_new for addition in (first, again, new, twice)] == [True, False, True, False]
        assert (again.entry.pk, again.entry.source, again.entry.note) == (first.entry.pk, "flow", "pressed 9")
        assert new.entry == twice.entry

    def test_records_one_entry_with_the_count_and_no_number(self):
        account = AccountFactory()
        add(account, *NUMBERS)
        add(account, *NUMBERS)
        entry = AuditEntry.objects.get()
        assert (entry.account_id, entry.verb, entry.actor) == (account.pk, "created", "meera")
        assert (entry.object_name, entry.what) == ("6 numbers on the do-not-call list", "the API")
        [addition] = add(None, NUMBERS[0])
        entry = AuditEntry.objects.latest("pk")
        assert (entry.account_id, entry.object_name) == (
            None,
            "+91981*****00 on the do-not-call list of all accounts",
        )
        assert addition.is_new

    def test_tells_of_those_that_are_new(self):
        told = []

        def receive(account_id, numbers, **_):
            told.append((account_id, numbers))

        signals.numbers_listed.connect(receive)
        try:
            account = AccountFactory()
            add(account, NUMBERS[1])
            add(account, NUMBERS[2], NUMBERS[1], NUMBERS[0])
            add(account, *NUMBERS[:3])
            add(None, NUMBERS[0])
        finally:
            signals.numbers_listed.disconnect(receive)
        assert told == [
            (account.pk, [NUMBERS[1]]),
            (account.pk, [NUMBERS[0], NUMBERS[2]]),
            (None, [NUMBERS[0]]),
        ]

    def test_is_a_constant_number_of_statements(self, django_assert_num_queries):
        account = AccountFactory()
        with django_assert_num_queries(6):  # savepoint and release, insert, read, audit, open campaigns
            add(account, *NUMBERS)


@pytest.mark.django_db(transaction=True)
def test_two_that_add_the_same_numbers_at_once_store_each_once():
    account = AccountFactory()
    barrier = threading.Barrier(4)

    def add_all(turn):
        try:
            barrier.wait()
            return [addition.is_new for addition in add(account, *(NUMBERS if turn % 2 else NUMBERS[::-1]))]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(add_all, range(4)))
    assert DoNotCall.objects.count() == len(NUMBERS)
    assert sum(map(sum, answers)) == len(NUMBERS)


@pytest.mark.django_db
class TestRemoving:
    def test_lets_the_number_be_called_and_records_why(self):
        account = AccountFactory()
        [addition] = add(account, NUMBERS[0])
        do_not_call.remove([addition.entry], reason="asked to be called again, by letter", actor=ACTOR)
        assert listed(account.pk, NUMBERS) == {}
        entry = AuditEntry.objects.latest("pk")
        assert (entry.verb, entry.what) == ("deleted", "asked to be called again, by letter")
        assert entry.object_name == "+91981*****00 on the do-not-call list"

    def test_leaves_the_list_of_others(self):
        account = AccountFactory()
        [own], _ = add(account, NUMBERS[0]), add(None, NUMBERS[0])
        do_not_call.remove([own.entry], reason="a mistake", actor=ACTOR)
        assert listed(account.pk, NUMBERS)[NUMBERS[0]].for_all
