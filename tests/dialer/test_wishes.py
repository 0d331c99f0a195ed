"""What people ask for about further calls: by a key, whoever runs the flow, or by what the carrier says of them."""

from datetime import time, timedelta

import pytest

from accounts.audit_entry import AuditEntry
from campaigns.models import Call
from contacts.models import DoNotCall
from dialer import inbox
from dialer.models import CallAttempt
from dialer.wishes import store, store_ended
from tests.conftest import NUMBERS
from tests.dialer.test_number_gate import told
from tests.dialer.test_outcomes import tell, up
from tests.dialer.test_twiml_views import call, carrier_api, line  # noqa: F401 -- fixtures
from tests.factories import FlowFactory

FLOW = {
    "steps": [
        {
            "gather": {
                "branches": {
                    "1": [{"say": "Fine"}],
                    "8": [{"refuse": True}],
                    "9": [{"opt_out": True}, {"say": "Never again"}],
                }
            }
        }
    ]
}


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
        store_ended([attempt])


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


# Refusals ------------------------------------------------------------------------------------------------------------


def wishes():
    return list(CallAttempt.objects.order_by("id").values_list("wish", flat=True))


def test_a_key_that_refuses_is_kept_and_lists_nobody(rig, flow):
    [attempt] = up(rig)
    tell(attempt, "completed", digits="8")
    rig.settle()
    assert wishes() == ["refusal"]
    assert not DoNotCall.objects.exists()


def test_a_refusal_over_twiml_is_kept_through_the_end_of_the_call(rig, call):  # noqa: F811
    phone = call(flow=FlowFactory(account=rig.account, document=FLOW))
    phone.next()
    assert phone.next(Digits="8") == ["Hangup"]
    assert wishes() == ["refusal"]
    phone.tell("completed", CallDuration="4")
    rig.settle()
    assert wishes() == ["refusal"]


def test_an_opt_out_is_never_made_a_refusal(rig, flow):
    [attempt] = up(rig)
    store(rig.account, attempt, "opt-out")
    store(rig.account, attempt, "refusal")
    tell(attempt, "busy", wish="refusal")
    rig.settle()
    assert wishes() == ["opt-out"]


@pytest.fixture
def emirates(rig):
    """An account whose rule set asks for a quiet time after a refusal, and a number there."""
    rig.account.rules, rig.account.allowed_countries = ["ae"], ["AE"]
    rig.account.opens_at = rig.account.closes_at = time(0)
    rig.account.save()
    return "+971501234567"


@pytest.mark.parametrize("ended", [{"status": "completed", "digits": "8"}, {"status": "busy", "wish": "refusal"}])
def test_a_quiet_time_begins_with_a_refusal(rig, flow, emirates, ended):
    rig.carrier.script[emirates] = ["silent", "completed"]
    rig.campaign([emirates])
    rig.tick()
    inbox.append("simulated", [(CallAttempt.objects.get().pk, ended)])
    rig.settle()
    rig.clock.shift(timedelta(days=8))
    rig.campaign([emirates])
    rig.tick()
    assert rig.rings() == [emirates]
    assert Call.objects.filter(rule="quiet-time").count() == 1


def test_a_declined_call_is_busy_and_is_tried_again_where_no_rule_asks_for_quiet(rig):
    """SIP 603: this call was declined, and nothing is said of others."""
    [attempt] = up(rig, retries=1)
    tell(attempt, "busy", wish="refusal", reason="declined by the person called (SIP 603)")
    rig.settle()
    assert wishes() == ["refusal"]
    assert Call.objects.get().status == "retrying"
    rig.later(minutes=11)
    assert len(rig.rings()) == 2


def test_an_unwanted_call_fails_for_good_and_says_who_refused(rig):
    """SIP 607."""
    [attempt] = up(rig, retries=1)
    tell(attempt, "failed", wish="refusal", names_number=True, reason="607 Unwanted")
    rig.settle()
    refused = Call.objects.get()
    assert (refused.status, refused.rule, refused.end_reason) == ("failed", "callee-refused", "607 Unwanted")
    assert told(refused.campaign) == {"failed": 1}


def test_a_number_on_a_register_of_the_carriers_fails_as_a_listed_one(rig):
    rig.carrier.script[NUMBERS[0]] = ["listed"]
    campaign = rig.campaign(2, retries=2)
    rig.tick()
    assert rig.rings() == [NUMBERS[1]]
    listed = Call.objects.get(number=NUMBERS[0])
    assert (listed.status, listed.rule, listed.end_reason) == ("failed", "do-not-call", "HTTP 403: in NDNC")
    assert (listed.attempts_made, listed.was_placed) == (1, False)
    assert told(campaign) == {"completed": 1, "failed-dnd": 1}
    assert sorted(wishes()) == ["", "opt-out"]
    assert not DoNotCall.objects.exists()
