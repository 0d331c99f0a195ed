"""A key that asks not to be called again: whoever runs the flow, the number comes on the account's list, once."""

import pytest

from accounts.audit_entry import AuditEntry
from contacts.models import DoNotCall
from dialer import wishes
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.dialer.test_outcomes import tell, up
from tests.dialer.test_twiml_views import call, carrier_api, line  # noqa: F401 -- fixtures
from tests.factories import FlowFactory

FLOW = {"steps": [{"gather": {"branches": {"1": [{"say": "Fine"}], "9": [{"opt_out": True}, {"say": "Never again"}]}}}]}


@pytest.fixture
def flow(rig):
    rig.flow = FlowFactory(account=rig.account, document=FLOW)


def test_keys_that_a_carrier_tells_are_followed_through_the_flow(rig, flow):
    one, nine = up(rig, 2, name="renewals")
    tell(one, "completed", digits="1")
    tell(nine, "completed", digits="9")
    rig.settle()
    entry = DoNotCall.objects.get()
    assert (entry.account, entry.number, entry.source) == (rig.account, nine.call.number, "flow")
    assert entry.note == "in a call of the campaign renewals"
    assert list(CallAttempt.objects.filter(pk=nine.pk).values_list("wish", flat=True)) == ["opt-out"]
    assert list(CallAttempt.objects.filter(pk=one.pk).values_list("wish", flat=True)) == [""]
    audited = AuditEntry.objects.get(object_kind="contacts.donotcall")
    assert (audited.actor_kind, audited.account, audited.what) == ("system", rig.account, "the person called")


def test_news_that_comes_twice_lists_once(rig, flow):
    [attempt] = up(rig)
    tell(attempt, "completed", "completed", digits="9")
    rig.settle()
    tell(attempt, "completed", digits="9")
    rig.settle()
    assert DoNotCall.objects.count() == AuditEntry.objects.filter(object_kind="contacts.donotcall").count() == 1


def test_keys_of_a_call_that_nobody_took_count_for_nothing(rig, flow):
    [attempt] = up(rig)
    tell(attempt, "no-answer", digits="9")
    rig.settle()
    assert not DoNotCall.objects.exists()


def test_calls_without_keys_cost_no_query(rig, flow, django_assert_num_queries):
    [attempt] = up(rig)
    attempt.status = "completed"
    with django_assert_num_queries(0):
        wishes.store_ended([attempt])


def test_over_twiml_it_is_stored_before_the_next_words_are_read(rig, call):  # noqa: F811
    phone = call(flow=FlowFactory(account=rig.account, document=FLOW))
    assert phone.next() == ["Gather"]
    address = phone.url
    assert phone.next(Digits="9") == ["Say Never again", "Hangup"]
    assert DoNotCall.objects.get().number == NUMBERS[0]
    phone.url = address  # the carrier asks again, having lost the reply
    assert phone.next(Digits="9") == ["Say Never again", "Hangup"]
    phone.tell("completed", CallDuration="4")
    rig.settle()
    assert CallAttempt.objects.get().status == "completed"
    assert DoNotCall.objects.count() == 1


def test_another_key_over_twiml_lists_nobody(rig, call):  # noqa: F811
    phone = call(flow=FlowFactory(account=rig.account, document=FLOW))
    phone.next()
    assert phone.next(Digits="1") == ["Say Fine", "Hangup"]
    assert not DoNotCall.objects.exists()
