"""A server that is held dials nothing, and says why; a release lets the same calls go on."""

import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from accounts.installation import Installation, load
from campaigns import campaign_lock, schedule
from core.errors import WrongState
from dialer import diagnosis, gate, holds, transfers, withdrawals
from dialer.check_calls import call
from dialer.diagnosis.campaigns import loaded
from dialer.holds import Because
from dialer.models import CallAttempt, Transfer
from tests.conftest import Rig, states
from tests.factories import ACTOR, CallAttemptFactory

NUMBERS = [f"+9198{number:08d}" for number in range(10_000_000, 10_000_003)]


def hold(because: Because = Because.OPERATOR, **more) -> bool:
    return holds.hold(because, "the disk is replaced", actor=ACTOR, now=timezone.now(), **more)


def release(**more) -> bool:
    return holds.release(actor=ACTOR, now=timezone.now(), **more)


def test_a_held_server_dials_nothing_and_goes_on_when_it_is_released(rig: Rig):
    campaign = rig.campaign(3, retries=1)
    rig.carrier.script[NUMBERS[0]] = ["busy", "completed"]
    rig.tick()
    assert states(campaign)[NUMBERS[0]] == "retrying"
    hold()
    later = rig.campaign(NUMBERS[1:2])
    rig.later(minutes=10)
    rig.later(seconds=20)
    assert len(rig.rings()) == 3
    assert release()
    rig.tick()
    rig.tick()
    assert set(states(campaign).values()) | set(states(later).values()) == {"completed"}
    assert len(rig.rings()) == 5


def test_calls_that_were_claimed_before_the_hold_are_given_back_and_spend_no_attempt(rig: Rig):
    campaign = rig.campaign(1)
    schedule.start_due(timezone.now())
    rig.dispatch()
    hold()
    rig.dial()
    assert rig.rings() == []
    [attempt] = CallAttempt.objects.all()
    assert (attempt.status, attempt.reason) == ("canceled", holds.SENTENCE)
    assert campaign.calls.get().attempts_made == 0
    release()
    rig.tick()
    assert states(campaign) == {NUMBERS[0]: "completed"}


def test_a_hold_waits_for_the_batch_that_commits_its_intents(rig: Rig):
    """Once `hold` has returned, no intent is committed any more."""
    rig.campaign(1)
    held_at: list[bool] = []

    def hold_beside() -> None:
        hold()
        held_at.append(True)
        connection.close()

    beside = threading.Thread(target=hold_beside)
    with transaction.atomic():
        campaign_lock.hold_shared("SELECT %s::uuid", holds.LOCK)
        beside.start()
        beside.join(0.3)
        assert not held_at
    beside.join(60)
    assert held_at


@pytest.mark.django_db
def test_the_gate_tells_customers_of_the_hold_and_operators_why():
    attempt = CallAttemptFactory(busy=True, campaign__running=True)
    hold()
    campaign = loaded(attempt.campaign)
    verdict = gate.check(campaign, timezone.now())
    assert verdict == gate.NotBefore(None, "held", holds.SENTENCE, detail="the disk is replaced")
    assert not gate.account_may_dial(campaign.account, timezone.now())
    told = diagnosis.of_campaign(campaign, timezone.now())
    assert holds.SENTENCE in told.summary
    assert "disk" not in told.summary
    assert told.next_attempt_at is None


@pytest.mark.django_db
def test_second_legs_are_not_rung_while_the_server_is_held(redis):
    attempt = CallAttemptFactory(in_progress=True)
    hold()
    begun = transfers.ask(attempt, "1", "+918012345678", timezone.now())
    assert (begun.may_ring, Transfer.objects.get().rule) == (False, "held")


def test_calls_that_wait_at_the_carrier_are_taken_back():
    assert "held" in withdrawals.REASONS


@pytest.mark.django_db
def test_a_test_call_says_that_the_server_is_held():
    trunk = CallAttemptFactory(busy=True).trunk
    hold()
    [step] = call(trunk, "+919810012345", flow_url="", actor=ACTOR, wait=lambda: None)
    assert (step.is_good, "the disk is replaced" in step.said) == (False, True)


@pytest.mark.django_db
@pytest.mark.parametrize("because", [Because.RESTORED, Because.DOUBTFUL])
def test_a_hold_after_a_restore_needs_a_reconciliation_or_a_reason(because):
    hold(because, missing_since=timezone.now() - timedelta(hours=1))
    with pytest.raises(WrongState, match=r"manage.py reconcile"):
        release()
    Installation.objects.update(reconciled_at=timezone.now(), not_asked=["sip trunk-1"])
    with pytest.raises(WrongState, match="sip trunk-1"):
        release()
    assert release(accept_unknown=True)
    assert holds.current() is None
    hold(because)
    assert release(force="nothing was dialed since")
    assert AuditEntry.objects.latest("pk").what == "nothing was dialed since"


@pytest.mark.django_db
def test_an_operator_can_not_make_a_restore_s_hold_a_plain_one():
    hold(Because.RESTORED)
    assert not hold(Because.OPERATOR)
    with pytest.raises(WrongState):
        release()


@pytest.mark.django_db
def test_a_restore_that_is_noticed_while_a_person_holds_the_server_needs_a_reconciliation():
    hold(Because.OPERATOR)
    since = load().held_since
    assert hold(Because.RESTORED)
    assert load().held_since == since
    with pytest.raises(WrongState):
        release()


@pytest.mark.django_db
def test_the_commands_hold_and_release_and_say_who_did(capsys):
    call_command("hold", why="a new trunk")
    call_command("hold")
    call_command("release")
    call_command("release")
    told = capsys.readouterr().out
    assert "held: nothing is dialed until" in told
    assert "held already: a new trunk" in told
    assert "released: calls are dialed again\nit was not held" in told
    verbs = list(AuditEntry.objects.order_by("pk").values_list("verb", "object_name"))
    assert verbs == [("held", "the server"), ("released", "the server")]


@pytest.mark.django_db
def test_what_is_loaded_with_an_account_costs_no_query(django_assert_num_queries):
    account = CallAttemptFactory(busy=True).account
    holds.load_into([account])
    with django_assert_num_queries(0):
        assert holds.of(account) is None
