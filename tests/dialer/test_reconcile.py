"""After a restore the carriers say what was dialed, and nobody is called a second time for it."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from accounts.installation import load
from core.errors import WrongState
from dialer import holds, look_ups, outcomes, reconcile, restores
from dialer.holds import Because
from dialer.models import CallAttempt
from dialer.reconcile import Reconciled
from tests.conftest import NUMBERS, Rig, states
from tests.dialer.restored import installation, turn_back
from tests.factories import ACTOR

pytestmark = pytest.mark.usefixtures("redis")


def run(since=None) -> Reconciled:
    return reconcile.reconcile(timezone.now(), actor=ACTOR, since=since)


@pytest.fixture
def restored(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    """Dial a campaign, restore the backup from before, and start: the server is held."""

    def make(numbers=3, script=None, calls_after=(), **columns):
        monkeypatch.setattr(restores._looked, "last", None, raising=False)
        rig.carrier.script.update(script or {})
        campaign = rig.campaign(numbers, **columns)
        rig.recover()
        backup = installation()
        rig.later(seconds=1)
        for minutes in calls_after:
            rig.later(minutes=minutes)
        turn_back(campaign, installation=backup)
        rig.later(seconds=30)
        assert holds.current()
        rig.clock.shift(look_ups.believed_after())
        return campaign

    return make


def test_calls_that_were_dialed_since_are_recorded_and_not_rung_again(rig: Rig, restored):
    campaign = restored(3, {NUMBERS[0]: ["busy"], NUMBERS[1]: ["no-answer"]})
    done = run()
    assert (done.listed, done.known, done.recorded, done.elsewhere, done.in_doubt) == (3, 0, 3, 0, 0)
    assert done.is_complete
    assert [attempt.carrier_ref != "" for attempt in CallAttempt.objects.all()] == [True] * 3
    assert holds.release(actor=ACTOR, now=timezone.now())
    rig.later(seconds=1)
    rig.later(minutes=10)
    assert len(rig.rings()) == 3
    assert states(campaign) == {NUMBERS[0]: "failed", NUMBERS[1]: "failed", NUMBERS[2]: "completed"}
    assert dict(campaign.calls.values_list("number", "last_outcome"))[NUMBERS[0]] == "busy"


def test_retries_that_are_left_are_made_and_no_others(rig: Rig, restored):
    campaign = restored(2, {NUMBERS[0]: ["busy", "busy", "completed"]}, calls_after=[10], retries=2)
    assert len(rig.rings(NUMBERS[0])) == 2
    done = run()
    assert done.recorded == 3
    call = campaign.calls.get(number=NUMBERS[0])
    assert (call.status, call.attempts_made) == ("retrying", 2)
    holds.release(actor=ACTOR, now=timezone.now())
    rig.later(minutes=10)
    assert len(rig.rings(NUMBERS[0])) == 3
    assert set(states(campaign).values()) == {"completed"}


def test_it_may_be_run_again(rig: Rig, restored):
    restored(3)
    assert run().recorded == 3
    again = run()
    assert (again.listed, again.known, again.recorded) == (3, 3, 0)


def test_what_died_half_way_goes_on(rig: Rig, restored, monkeypatch: pytest.MonkeyPatch):
    campaign = restored(3)
    monkeypatch.setattr(reconcile, "BATCH", 1)
    settle, settled = outcomes.settle, []

    def dies(*given):
        settled.append(given)
        if len(settled) == 2:
            raise MemoryError
        return settle(*given)

    monkeypatch.setattr(outcomes, "settle", dies)
    with pytest.raises(MemoryError):
        run()
    monkeypatch.setattr(outcomes, "settle", settle)
    assert CallAttempt.objects.count() == 1
    assert run().recorded == 2
    assert CallAttempt.objects.count() == 3
    assert set(states(campaign).values()) == {"completed"}


def test_calls_that_are_still_up_are_followed_to_their_end(rig: Rig, restored):
    campaign = restored(1, {NUMBERS[0]: ["silent"]})
    done = run()
    assert (done.recorded, done.up) == (1, 1)
    assert states(campaign) == {NUMBERS[0]: "in-progress"}
    holds.release(actor=ACTOR, now=timezone.now())
    rig.later(minutes=1)
    assert len(rig.rings()) == 1


def test_calls_of_campaigns_that_the_backup_lacks_are_told_and_nothing_else(rig: Rig, restored):
    campaign = restored(2)
    campaign.calls.filter(number=NUMBERS[0]).delete()
    done = run()
    assert (done.recorded, done.elsewhere) == (1, 1)


def test_a_call_is_recorded_for_the_campaign_that_dials_from_its_caller_id(rig: Rig, restored):
    from tests.factories import CallerIdFactory

    campaign = restored(1)
    other = rig.campaign(1, caller_id=CallerIdFactory(account=rig.account, trunk=rig.trunk), caller_id_given="")
    other.calls.model.objects.filter(campaign=other)
    run()
    assert states(campaign) == {NUMBERS[0]: "completed"}
    assert states(other) == {NUMBERS[0]: "created"}


def test_attempts_that_the_backup_has_as_claimed_become_the_calls_that_were_made(rig: Rig, restored):
    campaign = restored(1)
    CallAttempt.objects.create(
        call=campaign.calls.get(), campaign=campaign, account=rig.account, callee=NUMBERS[0], trunk=rig.trunk, number=1,
        claimed_at=timezone.now() - timedelta(minutes=1),
    )  # fmt: skip
    campaign.calls.update(status="in-progress")
    rig.dial()
    done = run()
    assert (done.recorded, done.is_complete) == (1, True)
    assert CallAttempt.objects.get().status == "completed"
    assert states(campaign) == {NUMBERS[0]: "completed"}


def test_nothing_is_complete_while_the_lists_may_lag(rig: Rig, restored):
    restored(1)
    rig.clock.shift(-look_ups.believed_after())
    done = run()
    assert done.seconds_to_wait > 0
    assert load().reconciled_at is None


def test_a_carrier_that_keeps_no_list_is_named_and_needs_the_operator_s_word(rig: Rig, restored):
    restored(1)
    rig.carrier.lists_calls = False
    done = run()
    assert list(done.not_asked.values()) == ["the script gives no list of calls"]
    with pytest.raises(WrongState, match="simulated"):
        holds.release(actor=ACTOR, now=timezone.now())
    assert holds.release(actor=ACTOR, now=timezone.now(), accept_unknown=True)
    rig.tick()
    assert len(rig.rings()) == 2, "that is what was accepted"


def test_a_server_that_dials_is_not_reconciled(rig: Rig):
    with pytest.raises(WrongState, match=r"manage.py hold"):
        run()
    holds.hold(Because.OPERATOR, "a test", actor=ACTOR, now=timezone.now())
    with pytest.raises(WrongState, match="--since"):
        run()
    assert run(since=timezone.now()).listed == 0


def test_the_command_tells_in_words_and_as_json(rig: Rig, restored, capsys):
    restored(3)
    call_command("reconcile", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["listed"], told["recorded"], told["is_complete"]) == (3, 3, True)
    call_command("reconcile")
    said = capsys.readouterr().out
    assert "3 of them are known here" in said
    assert "complete: manage.py release" in said
    assert AuditEntry.objects.filter(verb="reconciled").count() == 2


def test_the_command_fails_where_it_is_not_complete(rig: Rig, restored):
    restored(1)
    rig.clock.shift(-look_ups.believed_after())
    with pytest.raises(CommandError, match="not complete"):
        call_command("reconcile", "--wait", "0")
    with pytest.raises(CommandError, match="invalid"):
        call_command("reconcile", "--since", "yesterday")


def test_as_many_calls_cost_as_many_statements_as_few(rig: Rig, restored, django_assert_max_num_queries):
    restored(50)
    with django_assert_max_num_queries(45):
        assert run().recorded == 50
