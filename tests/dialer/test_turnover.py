"""Freed channels go to the next calls at once: a few by the worker that settled, many by a message to a dispatcher."""

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.models import Account
from campaigns import schedule
from core import task_queue
from dialer import inbox, messages, restores, turnover
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig
from tests.factories import AccountFactory


@pytest.fixture
def enqueued(monkeypatch):
    """The messages that were enqueued: (task, arguments)."""
    sent = []
    for module in (messages, task_queue):
        monkeypatch.setattr(module, "enqueue", lambda task, *args, **_: sent.append((task, args)))
    return sent


@pytest.fixture
def up(rig: Rig, enqueued):
    """Six calls, of which three are up: as many as there are channels. Their ends are told."""
    Account.objects.update(channels=3)
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    rig.campaign(6)
    schedule.start_due(timezone.now())
    assert rig.dispatch() == 3
    rig.dial()
    rig.settle()
    attempts = list(CallAttempt.objects.all())
    assert {attempt.status for attempt in attempts} == {"in-progress"}
    inbox.append("simulated", [(attempt.pk, {"status": "completed"}) for attempt in attempts])
    task_queue.taken(f"dispatch:{rig.account.pk}")
    enqueued.clear()
    return attempts


def settle():
    turnover.settle(timezone.now)


def claimed():
    return CallAttempt.objects.filter(status="claimed").count()


def sent(enqueued, task):
    return [arguments for name, arguments in enqueued if name == task]


def test_few_channels_are_used_at_once(up, enqueued):
    settle()
    assert claimed() == 3
    assert not sent(enqueued, "dialer.dispatch")
    assert len(sent(enqueued, "dialer.dial")) == 1


def test_many_are_used_by_a_dispatcher(rig, up, enqueued, monkeypatch):
    monkeypatch.setattr(turnover, "FEW", 2)
    settle()
    assert claimed() == 0
    assert sent(enqueued, "dialer.dispatch") == [(rig.account.pk,)]


def test_where_there_is_more_room_a_dispatcher_goes_on(rig, up, enqueued, monkeypatch):
    monkeypatch.setattr(turnover, "FEW", 3)
    Account.objects.update(channels=5)
    settle()
    assert claimed() == 3
    assert sent(enqueued, "dialer.dispatch") == [(rig.account.pk,)]


def test_of_several_accounts_the_others_have_a_message(rig, up, enqueued):
    other = AccountFactory()
    with messages.gathering_freed() as freed:
        messages.tell_of_freed({rig.account.pk: 2, other.pk: 1})
    turnover._dispatch(freed, timezone.now())
    assert sent(enqueued, "dialer.dispatch") == [(other.pk,)]


def test_where_a_message_waits_the_calls_are_left_to_its_dispatcher(rig, up, enqueued):
    messages.enqueue_dispatch([rig.account.pk])
    settle()
    assert claimed() == 0
    assert sent(enqueued, "dialer.dispatch") == [(rig.account.pk,)]


def test_where_a_dispatcher_is_at_work_it_looks_once_more(rig, up, enqueued):
    seen = []

    def look():
        seen.append(CallAttempt.objects.filter(status="in-progress").count())
        if len(seen) == 1:
            settle()

    messages.dispatch_at_work(rig.account.pk, look)
    assert seen == [3, 0]
    assert claimed() == 0
    assert not sent(enqueued, "dialer.dispatch")


def test_where_carriers_have_to_be_asked_first_no_settling_waits_for_them(rig, up, enqueued, monkeypatch):
    monkeypatch.setattr(restores, "may_dial_without_asking", lambda _: False)
    settle()
    assert claimed() == 0
    assert sent(enqueued, "dialer.dispatch") == [(rig.account.pk,)]


def test_what_a_full_batch_has_freed_does_not_wait_for_the_next_one(rig, up, enqueued, monkeypatch):
    monkeypatch.setattr(inbox, "BATCH", 2)
    settle()
    assert [name for name, _ in enqueued if name != "dialer.dial"] == ["dialer.settle", "dialer.dispatch"]
    assert not CallAttempt.objects.filter(status="in-progress").exists()


def test_what_was_freed_before_a_failure_is_used(rig, up, enqueued, monkeypatch):
    def fail(now):
        real(now)
        raise OperationalError("the database went away")

    real = inbox.settle_batch
    monkeypatch.setattr(inbox, "settle_batch", fail)
    with pytest.raises(OperationalError):
        settle()
    assert sent(enqueued, "dialer.dispatch") == [(rig.account.pk,)]
    messages.tell_of_freed({rig.account.pk: 1})
    assert len(sent(enqueued, "dialer.dispatch")) == 1, "a message is waiting"
