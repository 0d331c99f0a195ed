"""Outcomes: set-based and monotonic. Late, repeated and out-of-order events change nothing."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.models import Call, Campaign
from dialer import inbox, messages, outcomes
from dialer.attempt_ends import Ended
from dialer.carriers.base import Event
from dialer.models import AttemptHistory, CallAttempt, CarrierEvent
from tests.conftest import NUMBERS, leases
from tests.factories import CallAttemptFactory

A, B, C = NUMBERS[:3]


def up(rig, count=1, **columns):
    """Dial a campaign's calls, which stay up. Returns the attempts."""
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:count]}
    campaign = rig.campaign(count, **columns)
    rig.tick()
    return list(CallAttempt.objects.filter(campaign=campaign).order_by("id"))


def tell(attempt, *statuses, **more):
    for status in statuses:
        inbox.append("simulated", [(attempt.pk, {"status": status, **more})])


def test_an_event_ends_attempt_call_and_campaign_and_frees_the_channel(rig):
    [attempt] = up(rig)
    assert leases(rig.account) == 1
    tell(attempt, "completed", digits="1")
    rig.settle()
    attempt.refresh_from_db()
    assert (attempt.status, attempt.digits, attempt.duration_seconds) == ("completed", "1", 7)
    assert Call.objects.get().status == "completed"
    assert Campaign.objects.get().status == "completed"
    assert leases(rig.account) == 0


def test_the_same_event_three_times_counts_once(rig):
    [attempt] = up(rig, retries=3)
    tell(attempt, "busy", "busy", "busy")
    rig.settle()
    tell(attempt, "busy")
    rig.settle()
    call = Call.objects.get()
    assert (call.status, call.attempts_made) == ("retrying", 1)
    assert AttemptHistory.objects.filter(subject=attempt, to_status="busy").count() == 1


def test_answered_after_the_end_changes_nothing(rig):
    [attempt] = up(rig)
    tell(attempt, "completed", "in-progress")
    rig.settle()
    tell(attempt, "in-progress")
    rig.settle()
    attempt.refresh_from_db()
    assert attempt.status == "completed"


def test_a_second_end_changes_nothing(rig):
    [attempt] = up(rig, retries=3)
    tell(attempt, "completed", "busy")
    rig.settle()
    tell(attempt, "no-answer")
    rig.settle()
    attempt.refresh_from_db()
    assert (attempt.status, Call.objects.get().status) == ("completed", "completed")


def test_an_event_may_overtake_the_carriers_own_reply(rig, monkeypatch):
    """The call is over before the dialer has stored that the carrier took it."""
    place = rig.carrier.place

    def slow(requests):
        replies = place(requests)
        inbox.append("simulated", [(request.attempt_id, {"status": "completed"}) for request in requests])
        rig.settle()
        return replies

    monkeypatch.setattr(rig.carrier, "place", slow)
    rig.campaign(1)
    rig.tick()
    attempt = CallAttempt.objects.get()
    assert attempt.status == "completed"
    assert [row.to_status for row in attempt.history.order_by("id")] == ["placing", "completed"]


def test_an_answered_call_is_stored_once_with_its_first_moment(rig):
    [attempt] = up(rig)
    tell(attempt, "in-progress")
    rig.settle()
    attempt.refresh_from_db()
    first = attempt.answered_at
    assert first is not None
    rig.clock.shift(60)
    tell(attempt, "in-progress")
    rig.settle()
    attempt.refresh_from_db()
    assert attempt.answered_at == first


def test_an_event_for_an_attempt_that_does_not_exist_is_stored_and_changes_nothing(rig):
    inbox.append("simulated", [(uuid4(), {"status": "busy"})])
    rig.settle()
    assert CarrierEvent.objects.get().handled_at is not None


def test_an_event_that_makes_no_sense_is_stored_with_the_reason_and_holds_up_no_other(rig):
    first, second = up(rig, 2)
    tell(first, "exploded")
    tell(second, "completed")
    rig.settle()
    assert "exploded" in CarrierEvent.objects.get(attempt_id=first.pk).error
    second.refresh_from_db()
    assert second.status == "completed"


@pytest.mark.parametrize("outcome", ["completed", "busy", "canceled"])
def test_a_batch_takes_as_many_statements_for_one_attempt_as_for_sixty(rig, outcome):
    counts = []
    for calls in (1, 60):
        attempts = up(rig, calls, retries=1)
        ends = [Ended(attempt.pk, outcome) for attempt in attempts]
        if outcome == "canceled":
            CallAttempt.objects.filter(pk__in=[attempt.pk for attempt in attempts]).update(status="placing")
        with CaptureQueriesContext(connection) as statements:
            assert outcomes.end(ends, timezone.now()) == calls
        counts.append(len(statements))
        Campaign.objects.filter(status="in-progress").update(status="paused")
    assert counts[0] == counts[1]


def test_an_event_names_its_attempt_for_certain_and_a_look_up_only_guessed(rig):
    """Two accounts lost the reply for one number and one call rang: the look-up gave it to the wrong attempt."""
    [rung] = up(rig)
    guessed = CallAttemptFactory(call__number=rung.callee, trunk=rig.trunk, in_progress=True)
    CallAttempt.objects.filter(pk=rung.pk).update(status="unknown", carrier_ref="")
    CallAttempt.objects.filter(pk=guessed.pk).update(carrier_ref="R", ref_is_guess=True)
    tell(rung, "busy", ref="R")
    rig.settle()
    guessed.refresh_from_db()
    rung.refresh_from_db()
    assert (rung.status, rung.carrier_ref) == ("busy", "R")
    assert (guessed.status, guessed.carrier_ref) == ("unknown", "")


def test_events_wait_while_the_database_is_away(rig, monkeypatch):
    [attempt] = up(rig)
    tell(attempt, "completed", digits="1")
    settle = outcomes.settle

    def away(*_):
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(outcomes, "settle", away)
    with pytest.raises(OperationalError):
        rig.settle()
    assert CarrierEvent.objects.get().handled_at is None
    monkeypatch.setattr(outcomes, "settle", settle)
    rig.settle()
    attempt.refresh_from_db()
    assert attempt.digits == "1"


def test_a_freed_channel_enqueues_the_accounts_dispatch_at_once(rig, monkeypatch):
    enqueued: list[set[int]] = []
    [attempt] = up(rig, 1)
    monkeypatch.setattr(messages, "enqueue_dispatch", lambda account_ids: enqueued.append(set(account_ids)))
    tell(attempt, "completed")
    rig.settle()
    assert enqueued == [{rig.account.pk}]


@pytest.mark.parametrize(
    "news",
    [
        lambda pk, now: outcomes.store_accepted({pk: "X"}, now),
        lambda pk, now: outcomes.settle([(pk, Event("in-progress", carrier_ref="X"))], now),
        lambda pk, now: outcomes.settle([(pk, Event("busy", carrier_ref="X"))], now),
    ],
    ids=["the carrier's reply", "an event", "the end"],
)
def test_a_call_that_a_look_up_gave_to_another_attempt_is_taken_back(rig, news):
    """A look-up by number may guess wrong; a reply and an event name their attempt for certain."""
    other, own = up(rig, 2)
    CallAttempt.objects.filter(pk=own.pk).update(status="placing", carrier_ref="")
    CallAttempt.objects.filter(pk=other.pk).update(carrier_ref="X", ref_is_guess=True)
    news(own.pk, timezone.now())
    own.refresh_from_db()
    other.refresh_from_db()
    assert (own.carrier_ref, own.status != "placing") == ("X", True)
    assert (other.carrier_ref, other.status) == ("", "unknown")


def test_a_retry_waits_from_the_end_of_the_attempt(rig):
    """Also when the carrier's event was under way for a minute."""
    [attempt] = up(rig, retries=1)
    rig.clock.shift(90)
    ended_at = timezone.now() - timedelta(seconds=60)
    event = Event("busy", started_at=attempt.placing_at, ended_at=ended_at)
    outcomes.settle([(attempt.pk, event)], timezone.now())
    # The carrier's moments are whole seconds.
    assert Call.objects.get().next_attempt_at == ended_at + timedelta(seconds=1) + timedelta(minutes=10)


def test_a_carrier_whose_clock_is_an_hour_behind_makes_no_retry_early(rig):
    [attempt] = up(rig, retries=1)
    rig.clock.shift(5)
    hour = timedelta(hours=1)
    event = Event("busy", started_at=attempt.placing_at - hour, ended_at=timezone.now() - hour)
    outcomes.settle([(attempt.pk, event)], timezone.now())
    attempt.refresh_from_db()
    assert attempt.ended_at == timezone.now()
    assert Call.objects.get().next_attempt_at == timezone.now() + timedelta(minutes=10)


def test_an_event_that_waited_in_the_inbox_counts_from_when_it_came(rig):
    [attempt] = up(rig, retries=1)
    rig.clock.shift(5)
    came = timezone.now()
    tell(attempt, "busy")
    rig.clock.shift(300)
    rig.settle()
    assert Call.objects.get().next_attempt_at == came + timedelta(minutes=10)


def test_an_answer_by_a_clock_that_is_off_counts_from_when_the_news_came(rig):
    [attempt] = up(rig)
    rig.clock.shift(5)
    for hours in (-1, 5.5):
        CallAttempt.objects.update(answered_at=None)
        event = Event("in-progress", answered_at=timezone.now() + timedelta(hours=hours))
        outcomes.settle([(attempt.pk, event)], timezone.now())
        attempt.refresh_from_db()
        assert attempt.answered_at == timezone.now()


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
def test_every_failure_is_its_own_outcome(rig, outcome):
    [attempt] = up(rig)
    tell(attempt, outcome)
    rig.settle()
    call = Call.objects.get()
    assert (call.status, call.last_outcome, call.was_placed) == ("failed", outcome, True)
