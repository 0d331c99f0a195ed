"""What only shows when two things happen at once: real threads, real transactions."""

import threading
from contextlib import suppress

from django.db import connections
from django.utils import timezone

from campaigns import schedule
from campaigns.models import Campaign, Outcome
from dialer import channels, dispatch, outcomes
from dialer.models import CallAttempt
from dialer.outcomes import Ended
from tests.conftest import NUMBERS, leases

A_WHILE = 0.3  # seconds; long enough for a thread that does not wait to be done


def in_thread(work, *args):
    """Runs it in a thread that leaves no connection open; a fault in it fails the test."""

    def run():
        try:
            work(*args)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_lease_whose_attempt_is_not_committed_yet_is_not_taken_for_a_leak(rig, monkeypatch):
    rig.campaign(1)
    schedule.start_due(timezone.now())
    leased, go_on = threading.Event(), threading.Event()
    claim = dispatch._claim

    def slow_claim(*args):
        leased.set()
        go_on.wait(10)
        return claim(*args)

    monkeypatch.setattr(dispatch, "_claim", slow_claim)
    dispatcher = in_thread(dispatch.dispatch, rig.account.pk, timezone.now())
    leased.wait(10)
    sweep = in_thread(channels.restore)
    sweep.join(A_WHILE)
    assert sweep.is_alive(), "it waits for the claim"
    go_on.set()
    dispatcher.join(10)
    sweep.join(10)
    assert CallAttempt.objects.count() == leases(rig.account) == 1


def test_of_two_batches_with_the_last_two_calls_one_closes_the_campaign(rig, monkeypatch):
    rig.carrier.script = {number: ["silent"] for number in NUMBERS[:2]}
    rig.campaign(2)
    rig.tick()
    both = threading.Barrier(2)
    close = schedule.close_finished

    def meet_then_close(*args):
        with suppress(threading.BrokenBarrierError):
            both.wait(A_WHILE)
        close(*args)

    monkeypatch.setattr(schedule, "close_finished", meet_then_close)
    threads = [
        in_thread(outcomes.end, [Ended(attempt_id, Outcome.BUSY)], timezone.now())
        for attempt_id in CallAttempt.objects.values_list("id", flat=True)
    ]
    for thread in threads:
        thread.join(10)
    assert Campaign.objects.get().status == "completed"
